-- Begins the transaction that builds a training set: it sees one state of the database throughout,
-- and sets all that a value's text, or the order of rows, could depend on.
--
-- takes:  a transaction in which nothing was executed yet
-- leaves: its settings; it does not send the warning of horizon 0, which the set's report repeats
set local transaction_isolation = 'repeatable read';
set local client_encoding = 'UTF8';
set local datestyle = 'ISO';
set local work_mem = '128MB';
set local client_min_messages = 'error';

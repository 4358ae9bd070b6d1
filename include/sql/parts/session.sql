-- each statement must see what others committed while it waited for a lock
set local transaction_isolation = 'read committed';
set local datestyle = 'ISO';
set local work_mem = '128MB'; -- enough for a hash of a million user_ids; with more users it spills to disk and works

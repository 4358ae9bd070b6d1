-- Seals the month: its snapshots, the sealed months that it changes, and the ledger, in one transaction.
--
-- takes:  the six staged and validated deliveries of {{ month.as_of }}
-- leaves: what staging.seal_month does (snapshot/month.sql); it is a function of the owner's, so that no other
--         statement writes to sealed snapshots or the ledger
-- each statement of the function must see what others committed while the one before it waited
set local transaction_isolation = 'read committed';

select
    result ->> 'as_of' as as_of,
    (result ->> 'ledger_rows_written')::integer as ledger_rows_written,
    result ->> 'months_sealed' as months_sealed,
    result ->> 'live_tables_rebuilt' as live_tables_rebuilt,
    result -> 'revisions' as revisions
from staging.seal_month(date '{{ month.as_of }}', {{ run }}, {{ restate }}) as result;

-- What is sealed: the newest revision of each month and table.
--
-- takes:  the ledger
-- leaves: a query with a row per month and table
select
    as_of,
    table_name,
    revision,
    delivered,
    snapshot_rows,
    run_id,
    sealed_at,
    split_part(file_name, '/', 1) as folder,
    cardinality(warnings) as warnings
from public.current_deliveries
order by as_of, table_name;

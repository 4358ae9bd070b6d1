-- What is sealed: the newest revision of each month and table.
--
-- takes:  the ledger
-- leaves: a query with a row per month and table, and whether its snapshot is only in the archive
select
    as_of,
    table_name,
    revision,
    delivered,
    snapshot_rows,
    run_id,
    sealed_at,
    split_part(file_name, '/', 1) as folder,
    cardinality(warnings) as warnings,
    (as_of, table_name) in (select as_of, table_name from public.archived_snapshots) as is_archived
from public.current_deliveries
order by as_of, table_name;

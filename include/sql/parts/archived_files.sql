-- The archived files of the newest revisions in the ledger.
--
-- takes:  the ledger and public.archives; the parameter month, or NULL for all
-- leaves: a query with a row per file: what it holds, and whether its snapshot is also in the database
select
    archived.as_of::text as as_of,
    archived.table_name,
    archived.revision,
    archived.place,
    archived.file_bytes,
    archived.file_sha256,
    archived.columns,
    (archived.as_of, archived.table_name) not in (select as_of, table_name from public.archived_snapshots)
        as is_in_database
from public.current_archives as archived
inner join public.current_deliveries using (as_of, table_name, revision)
where {{ 'month' | parameter }}::date is null or archived.as_of = {{ 'month' | parameter }}::date
order by archived.as_of, archived.table_name;

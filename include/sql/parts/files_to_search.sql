-- The archived files that an erasure has to look into, of all revisions, wherever they were recorded.
--
-- takes:  the ledger and public.archives
-- leaves: a query with a row per file: whether it is the newest revision's, and whether its snapshot is nowhere else
select distinct
    archived.as_of::text as as_of,
    archived.table_name,
    archived.revision,
    archived.place,
    newest.revision is not null as is_newest,
    newest.revision is not null
    and (archived.as_of, archived.table_name, archived.place) in (
        select as_of, table_name, place from public.archived_snapshots
    ) as is_only_archived
from public.archives as archived
left join public.current_deliveries as newest using (as_of, table_name, revision)
where archived.erased_at is null
order by as_of, archived.table_name, archived.revision, archived.place;

-- What the ledger says of a month's snapshots that are in the database, and where their newest revision is archived.
--
-- takes:  the ledger and public.archives; the parameter month
-- leaves: a query with a row per table: what identifies and describes its snapshot, the archived file (NULL if there is
--         none), and the revisions that are neither archived nor in the database
select
    sealed.as_of::text as as_of,
    sealed.table_name,
    sealed.revision,
    sealed.columns,
    sealed.snapshot_rows,
    sealed.snapshot_checksum::text as snapshot_checksum,
    archived.place,
    archived.file_bytes,
    array(
        select missed.revision from public.deliveries as missed
        where
            missed.as_of = sealed.as_of and missed.table_name = sealed.table_name
            and missed.revision < sealed.revision
            and (missed.as_of, missed.table_name, missed.revision) not in (
                select as_of, table_name, revision from public.archives
            )
        order by missed.revision
    ) as missed
from public.current_deliveries as sealed
inner join staging.tables() as tables using (table_name)
left join public.current_archives as archived using (as_of, table_name, revision)
where
    sealed.as_of = {{ 'month' | parameter }}::date
    and (sealed.as_of, sealed.table_name) not in (select as_of, table_name from public.archived_snapshots)
order by tables.place;

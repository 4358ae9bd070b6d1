-- Counts what verify.sql has compared, in the same transaction; correct if it found no differences.
--
-- takes:  the ledger, the snapshots, and live; it reads all of them
-- leaves: a query with one row: how many months and snapshots are sealed, the newest month, the rows of the
--         snapshots, the rows of live, and the database's name
select
    (
        select count(distinct as_of) from public.current_deliveries
        where (as_of, table_name) not in (select as_of, table_name from public.archived_snapshots)
    ) as months,
    (select count(*) from public.current_deliveries)
    - (select count(*) from public.archived_snapshots) as snapshots,
    (select max(as_of)::text from public.current_deliveries) as newest,
    {% for table in tables.values() %}
    {{ '+ ' if not loop.first }}(
        select count(*) from public.{{ table.snapshots }} where tableoid in (select inhrelid from pg_inherits)
    )
    {%- endfor %} as snapshot_rows,
    {% for table in tables.values() %}
    {{ '+ ' if not loop.first }}(select count(*) from public.{{ table.name }})
    {%- endfor %} as live_rows,
    current_database()::text as database;

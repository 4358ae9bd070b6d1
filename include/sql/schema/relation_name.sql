-- The name of a month's table in schema staging, the same as in plugins/streamflow/tables.py: labels_20240131,
-- labels_20240131_build, labels_20240131_changes. The owner's functions get table names only from here; any name that
-- is not a table of a delivery is rejected.
create or replace function staging.relation_name(table_name text, month date, kind text default '') returns text
language plpgsql as $$
begin
    perform staging.assert_true(
        table_name in (select tables.table_name from staging.tables()),
        table_name || ' is not a table of a delivery'
    );
    return concat_ws('_', table_name, to_char(month, 'YYYYMMDD'), nullif(kind, ''));
end
$$;

-- The name of a table's snapshot table, in schema public.
create or replace function staging.snapshots_of(of_table text) returns text
language sql stable as $$
    select snapshots from staging.tables() where table_name = of_table
$$;

-- The name of a month's table in schema staging, as plugins/streamflow/tables.py has it: labels_20240131,
-- labels_20240131_build, labels_20240131_changes. Names reach the owner's functions only through here: what is no
-- table of a delivery stops it.
create or replace function staging.relation_name(table_name text, month date, kind text default '') returns text
language plpgsql as $$
begin
    perform staging.assert_true(
        table_name in (select tables.table_name from staging.tables()),
        table_name || ' is no table of a delivery'
    );
    return concat_ws('_', table_name, to_char(month, 'YYYYMMDD'), nullif(kind, ''));
end
$$;

-- The snapshot table of a table of a delivery, in schema public.
create or replace function staging.snapshots_of(of_table text) returns text
language sql stable as $$
    select snapshots from staging.tables() where table_name = of_table
$$;

-- The name of a month's table in schema staging, as plugins/streamflow/tables.py has it: labels_20240131,
-- labels_20240131_build, labels_20240131_changes. Names reach the owner's functions only through here: what is no
-- table of a delivery stops it.
create or replace function staging.relation_name(table_name text, month date, kind text default '') returns text
language plpgsql as $$
begin
    perform staging.assert_true(
        table_name in (
            {%- for table in tables.values() %}
            '{{ table.name }}'{{ ',' if not loop.last }}
            {%- endfor %}
        ),
        table_name || ' is no table of a delivery'
    );
    return concat_ws('_', table_name, to_char(month, 'YYYYMMDD'), nullif(kind, ''));
end
$$;

-- The snapshot table of a table of a delivery, in schema public.
create or replace function staging.snapshots_of(table_name text) returns text
language sql stable as $$
    select case table_name
        {%- for table in tables.values() %}
        when '{{ table.name }}' then '{{ table.snapshots }}'
        {%- endfor %}
    end
$$;

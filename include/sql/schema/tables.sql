-- The definitions in include/tables, for the owner's functions.

-- The tables of a delivery; those that others refer to come first. It is parallel safe, like builds_of: otherwise the
-- gate, which uses both, could not run in parallel.
create or replace function staging.tables()
returns table (place integer, table_name text, snapshots text, refers_to text, since date)
language sql immutable parallel safe as $$
    values
    {%- for table in tables.values() %}
    (
        {{ loop.index }}, '{{ table.name }}', '{{ table.snapshots }}',
        {{ "'" ~ table.refers_to ~ "'" if table.refers_to else 'null::text' }},
        {{ "date '" ~ table.since ~ "-01'" if table.since else 'null::date' }}
    ){{ ',' if not loop.last }}
    {%- endfor %}
$$;

-- Live's columns in order, with the key first.
create or replace function staging.columns()
returns table (table_name text, place integer, name text, type text, is_optional boolean)
language sql immutable as $$
    values
    {%- for table in tables.values() %}
    ('{{ table.name }}', 1, 'user_id', 'text', false),
    {%- for column in table.fields %}
    ('{{ table.name }}', {{ loop.index + 1 }}, '{{ column.name }}', '{{ column.type }}', {{ column.optional | lower }})
    {{- ',' if not loop.last }}
    {%- endfor %}{{ ',' if not loop.last }}
    {%- endfor %}
$$;

create or replace function staging.columns_of(of_table text) returns text[]
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select array_agg(name order by place) from staging.columns() where table_name = of_table
$$;

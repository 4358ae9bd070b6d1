-- Creates the live tables (the newest sealed snapshot, one row per user) and the snapshot tables (the frozen state at
-- each month's end, one row per user and month).
--
-- takes:  nothing, or the tables that an earlier version created
-- leaves: two tables for each folder of include/tables: live with a foreign key to the table that it refers to, and
--         snapshots partitioned by month; existing tables are not touched
{% for table in tables.values() %}
create table if not exists public.{{ table.name }} (
    user_id text primary key
    {%- if table.refers_to %} references public.{{ table.refers_to }} (user_id) on delete cascade{% endif %},
    {%- for column in table.fields %}
    {{ column.name }} {{ column.type }}{{ ',' if not loop.last }}
    {%- endfor %}
);

create table if not exists public.{{ table.snapshots }} (
    like public.{{ table.name }},
    as_of date not null,
    source_as_of date not null,
    primary key (user_id, as_of)
) partition by list (as_of);

-- leaves room on each page for changed rows: they stay on their page, and the index does not have to follow
alter table public.{{ table.name }} set (fillfactor = 70);
{% endfor %}

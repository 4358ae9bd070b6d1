-- The live tables: the newest sealed snapshot, one row per user.
--
-- takes:  nothing
-- leaves: a table for each folder of include/tables, with a key to the one that it refers to; existing tables keep
--         their columns and rows

{% for table in tables.values() %}
create table if not exists public.{{ table.name }} (
    user_id text primary key
    {%- if table.refers_to %} references public.{{ table.refers_to }} (user_id) on delete cascade{% endif %},
    {%- for column in table.fields %}
    {{ column.name }} {{ column.type }}{{ ',' if not loop.last }}
    {%- endfor %}
);
{% endfor %}
-- room on each page for the rows that a month changes: they stay there, and the keys need not follow them
{%- for table in tables.values() %}
alter table public.{{ table.name }} set (fillfactor = 70);
{%- endfor %}

-- The six snapshot tables: the state at each month's end, frozen, one row per user and month.
--
-- takes:  the live tables, whose columns every snapshot repeats
-- leaves: six empty tables, partitioned by month; existing tables are not touched
{% for table in tables.values() %}
create table if not exists public.{{ table.snapshots }} (
    like public.{{ table.name }},
    as_of date not null,
    source_as_of date not null,
    primary key (user_id, as_of)
) partition by list (as_of);
{% endfor %}

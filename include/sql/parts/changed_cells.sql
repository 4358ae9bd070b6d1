{% from 'parts/month.sql' import as_of with context -%}
-- The changes that sealed months would get, cell by cell.
--
-- takes:  the lists of changes; the sealed snapshots
-- leaves: a query with one row per month, table, user, and column: the sealed value, and what it would become
{% for table in tables_of(as_of).values() %}
select
    change.as_of::text as as_of,
    '{{ table.name }}' as table_name,
    change.user_id,
    change.what,
    cell.name as column_name,
    cell.was,
    case when change.what <> 'removed' then cell.would_be end as would_be
from staging.{{ table.changes(as_of) }} as change
left join public.{{ table.snapshots }} as sealed
    on change.user_id = sealed.user_id and change.as_of = sealed.as_of and sealed.as_of >= date '{{ as_of }}'
cross join lateral (
    values
    {%- for column in table.columns %}
    ('{{ column }}', sealed.{{ column }}::text, change.{{ column }}::text),
    {%- endfor %}
    ('source_as_of', sealed.source_as_of::text, change.source_as_of::text)
) as cell (name, was, would_be)
where
    (change.what <> 'changed' or cell.was is distinct from cell.would_be)
    and (
        change.as_of > date '{{ as_of }}'
        or (
            select builds.is_sealed from staging.builds
            where builds.as_of = date '{{ as_of }}' and builds.table_name = '{{ table.name }}'
        )
    )
{{ 'union all' if not loop.last }}
{%- endfor %}
order by as_of, table_name, user_id, column_name;

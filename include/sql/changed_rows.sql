-- What would change in sealed months, cell by cell; in the transaction of gate.sql.
--
-- takes:  the six replays; the sealed snapshots
-- leaves: a query with a row per month, table, user and column: the value that is sealed, and the one that would be
{% for table in tables.values() %}
select
    replay.as_of::text as as_of,
    '{{ table.name }}' as table_name,
    replay.user_id,
    replay.what,
    cell.name as column_name,
    cell.was,
    case when replay.what <> 'removed' then cell.would_be end as would_be
from {{ table.name }}_replay as replay
left join public.{{ table.snapshots }} as sealed
    on
        replay.user_id = sealed.user_id
        and replay.as_of = sealed.as_of
        and sealed.as_of >= date '{{ month.as_of }}'
cross join lateral (
    values
    {%- for column in table.columns %}
    ('{{ column }}', sealed.{{ column }}::text, replay.{{ column }}::text),
    {%- endfor %}
    ('source_as_of', sealed.source_as_of::text, replay.source_as_of::text)
) as cell (name, was, would_be)
where replay.what <> 'changed' or cell.was is distinct from cell.would_be
{{ 'union all' if not loop.last }}
{%- endfor %}
order by as_of, table_name, user_id, column_name;

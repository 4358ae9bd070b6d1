-- What the delivery changes in sealed snapshots of {{ table.name }}: its own month's, if that is sealed, and
-- those of later months, where users that they did not deliver are carried forward from it.
--
-- takes:  the staged delivery; the sealed snapshots; month_plan
-- leaves: the temporary table {{ table.name }}_replay, one row per user and sealed month that would change, with
--         the row as it should be. For the newest month, and for files that are sealed, it is empty and costs
--         no scan.
{% import 'macros.sql' as sql %}
create temporary table {{ table.name }}_replay on commit drop as
with
state as (
    {% include 'snapshot/state.sql' %}
),

rebuilt as (
    select * from state
    where (select may_change_sealed from month_plan)
),

-- what the month's snapshot is, or would have been without a delivery
recorded as (
    select * from public.{{ table.snapshots }}
    where
        as_of = (select case when is_sealed then as_of else previous end from month_plan)
        and (select may_change_sealed from month_plan)
),

moved as (
    select
        coalesce(rebuilt.user_id, recorded.user_id) as user_id,
        {{ sql.columns(table, 'rebuilt') }},
        rebuilt.source_as_of,
        rebuilt.user_id is null as is_gone
    from rebuilt
    full join recorded on rebuilt.user_id = recorded.user_id
    where
        record_image_ne(
            row(rebuilt.user_id, {{ sql.columns(table, 'rebuilt') }}, rebuilt.source_as_of),
            row(recorded.user_id, {{ sql.columns(table, 'recorded') }}, recorded.source_as_of)
        )
),

months as (
    select distinct as_of from public.deliveries
    where as_of >= date '{{ month.as_of }}'
),
{% if table.optional %}
-- the first later delivery of each optional column: from there on the user's value is that one's
redelivered as (
    select
        later.user_id,
        {%- for column in table.optional %}
        min(later.as_of) filter (
            where not '{{ column }}' = any(file.not_delivered)
        ) as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from public.{{ table.snapshots }} as later
    inner join moved on later.user_id = moved.user_id
    inner join public.current_deliveries as file
        on later.as_of = file.as_of and file.table_name = '{{ table.name }}'
    where later.as_of > date '{{ month.as_of }}' and later.source_as_of = later.as_of
    group by later.user_id
),
{% endif %}
existing as (
    select
        *,
        -- no row comes from a later delivery than its month's, whatever has been done to it
        least(source_as_of, as_of) as delivered_as_of
    from public.{{ table.snapshots }}
    where as_of >= date '{{ month.as_of }}'
),

-- a row that a later month delivered stays that month's; any other is carried forward from this one
replayed as (
    select
        moved.user_id,
        months.as_of,
        {%- for column in table.columns %}
        case
            {%- if column in table.optional %}
            when redelivered.{{ column }} <= months.as_of then existing.{{ column }}
            {%- else %}
            when existing.delivered_as_of > date '{{ month.as_of }}' then existing.{{ column }}
            {%- endif %}
            else moved.{{ column }}
        end as {{ column }},
        {%- endfor %}
        greatest(
            moved.source_as_of,
            case when existing.delivered_as_of > date '{{ month.as_of }}' then existing.source_as_of end
        ) as source_as_of,
        existing.user_id is not null as was_there,
        moved.is_gone and coalesce(existing.delivered_as_of <= date '{{ month.as_of }}', true) as is_gone,
        row({{ sql.columns(table, 'existing') }}, existing.source_as_of) as existing_row
    from moved
    cross join months
    left join existing on moved.user_id = existing.user_id and months.as_of = existing.as_of
    {%- if table.optional %}
    left join redelivered on moved.user_id = redelivered.user_id
    {%- endif %}
)

select
    user_id,
    as_of,
    {{ table.columns | join(', ') }},
    source_as_of,
    case
        when is_gone then 'removed'
        when was_there then 'changed'
        else 'added'
    end as what
from replayed
where
    case
        when was_there and not is_gone
            then record_image_ne(row({{ table.columns | join(', ') }}, source_as_of), existing_row)
        else was_there or not is_gone
    end;

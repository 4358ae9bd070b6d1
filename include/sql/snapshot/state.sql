-- The state of {{ table.name }} at the end of the month: the delivery laid over the nearest earlier snapshot, so
-- that each user has the row of the newest delivery up to then, and nothing from a later one is in it.
--
-- takes:  the staged delivery; the nearest earlier sealed snapshot; month_plan
-- leaves: a query with live's columns and source_as_of, the delivery that each row came from
{% import 'macros.sql' as sql %}
    select
        coalesce(delivered.user_id, previous.user_id) as user_id,
        {%- for column in table.columns %}
        case
            when delivered.user_id is null then previous.{{ column }}
            else {{ sql.value(table, column, 'delivered', 'previous') }}
        end as {{ column }},
        {%- endfor %}
        case
            when delivered.user_id is null then previous.source_as_of
            else date '{{ month.as_of }}'
        end as source_as_of
    from staging.{{ table.name }}_{{ month.suffix }} as delivered
    full join (
        select * from public.{{ table.snapshots }}
        where as_of = (select previous from month_plan)
    ) as previous on delivered.user_id = previous.user_id
    cross join (
        select not_delivered from staging.files
        where as_of = date '{{ month.as_of }}' and table_name = '{{ table.name }}'
    ) as file

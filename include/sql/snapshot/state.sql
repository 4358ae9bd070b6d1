-- The state of {{ table.name }} at the end of the month: the delivered rows, and of the nearest earlier snapshot the
-- rows of users that the delivery does not have. Nothing from a later delivery is in it.
--
-- takes:  the staged delivery; the nearest earlier sealed snapshot; month_plan
-- leaves: a query with live's columns and source_as_of, the delivery that each row came from
{% import 'macros.sql' as sql %}
    select
        delivered.user_id,
        {%- for column in table.columns %}
        {{ sql.value(table, column, 'delivered', 'stored') }} as {{ column }},
        {%- endfor %}
        date '{{ month.as_of }}' as source_as_of
    from staging.{{ table.name }}_{{ month.suffix }} as delivered
    {%- if table.optional %}
    cross join (
        select not_delivered from staging.files
        where as_of = date '{{ month.as_of }}' and table_name = '{{ table.name }}'
    ) as file
    -- looked at only if the file leaves columns out
    left join (
        select * from public.{{ table.snapshots }}
        where
            as_of = (select previous from month_plan)
            and (
                select not_delivered <> '{}' from staging.files
                where as_of = date '{{ month.as_of }}' and table_name = '{{ table.name }}'
            )
    ) as stored on delivered.user_id = stored.user_id
    {%- endif %}
    union all
    select
        previous.user_id,
        {%- for column in table.columns %}
        previous.{{ column }},
        {%- endfor %}
        previous.source_as_of
    from public.{{ table.snapshots }} as previous
    where
        previous.as_of = (select previous from month_plan)
        and not exists (
            select from staging.{{ table.name }}_{{ month.suffix }} as delivered
            where delivered.user_id = previous.user_id
        )

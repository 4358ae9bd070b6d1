-- What the month's delivery says of {{ table.name }}; columns that its file leaves out keep their earlier values.
--
-- takes:  the staged delivery and its file's record; the nearest earlier sealed snapshot; month_plan
-- leaves: a query with live's columns and source_as_of, the month itself
{% import 'macros.sql' as sql %}
{% set record %}staging.files where as_of = date '{{ month.as_of }}' and table_name = '{{ table.name }}'{% endset %}
select
    delivered.user_id,
    {%- for column in table.columns %}
    {{ sql.value(table, column, 'delivered', 'stored') }} as {{ column }},
    {%- endfor %}
    date '{{ month.as_of }}' as source_as_of
from staging.{{ table.name }}_{{ month.suffix }} as delivered
{%- if table.optional %}
cross join (
    select {{ sql.lacking(table, record) }}
) as file
-- no month's rows, unless the file leaves columns out
left join (
    select * from public.{{ table.snapshots }}
    where as_of = (
        select month_plan.previous
        from month_plan
        inner join staging.files as record on month_plan.as_of = record.as_of
        where record.table_name = '{{ table.name }}' and record.not_delivered <> '{}'
    )
) as stored on delivered.user_id = stored.user_id
{%- endif %}

-- The rows of {{ table.name }} that are carried forward: those of the nearest earlier snapshot whose users the delivery
-- does not have. Nothing from a later delivery is in it.
--
-- takes:  the staged delivery; the nearest earlier sealed snapshot; month_plan
-- leaves: a query with live's columns and source_as_of, the delivery that each row came from
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

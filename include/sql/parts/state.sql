{#-
state(k): the rows that a month delivered, and the rows of state(k-1) whose users it did not deliver. This is the only
definition, for the month that is loaded and for every sealed month that it changes.

takes:  table, and as_of, the month as an SQL expression; before it, three sets of rows: `delivered`, `previous`
        (state(k-1)), and `left_out`, one row with the optional columns that the file does not have, as `names`
leaves: a query with a snapshot's columns
-#}
{%- from 'parts/columns.sql' import columns -%}
{%- macro state(table, as_of, indent=4) -%}
{%- filter indent(indent) -%}
select
    {{ columns(('user_id',) + table.required) }},
    {%- for name in table.optional %}
    case when '{{ name }}' = any(names) then kept.{{ name }} else delivered.{{ name }} end as {{ name }},
    {%- endfor %}
    {{ as_of }} as as_of, {{ as_of }} as source_as_of
from delivered
{%- if table.optional %}
cross join left_out
left join (
    select {{ columns(('user_id',) + table.optional, '', 8) }}
    from previous where (select names <> '{}' from left_out)
) as kept using (user_id)
{%- endif %}
union all
select
    {{ columns(table.all_columns) }},
    {{ as_of }}, source_as_of
from previous
where not exists (select from delivered where delivered.user_id = previous.user_id)
{%- endfilter -%}
{%- endmacro -%}

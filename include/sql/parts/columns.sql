{#- Lists of a table's columns, four to a line. -#}

{#- user_id, one, two …; `of`, if given, is the alias that they are taken from -#}
{%- macro columns(names, of='', indent=4) -%}
{%- for name in names -%}
{{ of ~ '.' if of }}{{ name }}{{ ',' if not loop.last }}
{%- if not loop.last %}{{ '\n' ~ ' ' * indent if loop.index % 4 == 0 else ' ' }}{% endif -%}
{%- endfor -%}
{%- endmacro -%}

{#- A row's values and, as 7.0 and 7 are one number and two texts, the digits of its numbers: rows of equal values are
equal to the letter. -#}
{%- macro image(table, of, indent=4, more=()) -%}
{{ columns(table.all_columns + more, of, indent) }}
{%- for name in table.numbers -%}
{{ ',\n' ~ ' ' * indent if loop.first else ', ' }}scale({{ of }}.{{ name }})
{%- endfor -%}
{%- endmacro -%}

{#- Whether two rows differ; a row that is not there differs from any that is. -#}
{%- macro differ(table, one, other, indent=4, more=()) -%}
row({{ image(table, one, indent, more) }})
{{ ' ' * (indent - 4) }}is distinct from row({{ image(table, other, indent, more) }})
{%- endmacro -%}

{#- Whether a column differs. -#}
{%- macro cell_differs(table, name, one, other) -%}
{%- if name in table.numbers -%}
({{ one }}.{{ name }}, scale({{ one }}.{{ name }}))
is distinct from ({{ other }}.{{ name }}, scale({{ other }}.{{ name }}))
{%- else -%}
{{ one }}.{{ name }} is distinct from {{ other }}.{{ name }}
{%- endif -%}
{%- endmacro -%}

{#- The order-independent checksum of rows, as the ledger keeps it: text, so that it sees every digit. Version 1. -#}
{%- macro checksum(values) -%}
sum(hashtextextended(row({{ values }})::text, 0))
{%- endmacro -%}

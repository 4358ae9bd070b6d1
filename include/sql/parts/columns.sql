{#- Lists of a table's columns, four to a line. -#}

{#- user_id, one, two …; `of`, if given, is the alias that they are taken from -#}
{%- macro columns(names, of='', indent=4) -%}
{%- for name in names -%}
{{ of ~ '.' if of }}{{ name }}{{ ',' if not loop.last }}
{%- if not loop.last %}{{ '\n' ~ ' ' * indent if loop.index % 4 == 0 else ' ' }}{% endif -%}
{%- endfor -%}
{%- endmacro -%}

{#- The order-independent checksum of rows, as the ledger keeps it: text, so that it sees every digit. Version 1. -#}
{%- macro checksum(values) -%}
sum(hashtextextended(row({{ values }})::text, 0))
{%- endmacro -%}

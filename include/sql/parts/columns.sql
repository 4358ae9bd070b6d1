{#- Lists of a table's columns, four to a line. -#}

{#- user_id, one, two …; `of`, if given, is the alias that they are taken from -#}
{%- macro columns(names, of='', indent=4) -%}
{%- for name in names -%}
{{ of ~ '.' if of }}{{ name }}{{ ',' if not loop.last }}
{%- if not loop.last %}{{ '\n' ~ ' ' * indent if loop.index % 4 == 0 else ' ' }}{% endif -%}
{%- endfor -%}
{%- endmacro -%}

{#- The order-independent checksum of a snapshot's rows, as the ledger keeps it: text, so that it sees every digit. -#}
{%- macro checksum(table, of, indent=12) -%}
sum(hashtextextended(row(
{{ ' ' * indent }}{{ columns(table.all_columns + ('as_of', 'source_as_of'), of, indent) }}
{{ ' ' * (indent - 4) }})::text, 0))
{%- endmacro -%}

{#- Lists of a table's columns, four to a line. -#}

{#- user_id, one, two …; `of`, if given, is the alias that they are taken from -#}
{%- macro columns(names, of='', indent=4) -%}
{%- for name in names -%}
{{ of ~ '.' if of }}{{ name }}{{ ',' if not loop.last }}
{%- if not loop.last %}{{ '\n' ~ ' ' * indent if loop.index % 4 == 0 else ' ' }}{% endif -%}
{%- endfor -%}
{%- endmacro -%}

{#- Whether two rows differ in some columns, to the letter: 7.0 and 7 are one number, and differ in scale. A row that is
not there differs from any that is. -#}
{%- macro differ(table, names, one, other, indent=4) -%}
row({{ _image(table, names, one, indent) }})
{{ ' ' * (indent - 4) }}is distinct from row({{ _image(table, names, other, indent) }})
{%- endmacro -%}

{%- macro _image(table, names, of, indent) -%}
{{ columns(names, of, indent) }}
{%- for name in names if name in table.numbers -%}
{{ ',\n' ~ ' ' * indent if loop.first else ', ' }}scale({{ of }}.{{ name }})
{%- endfor -%}
{%- endmacro -%}

{#- The order-independent checksum of rows, as the ledger keeps it: text, so that it sees every digit. Version 1. -#}
{%- macro checksum(values) -%}
sum(hashtextextended(row({{ values }})::text, 0))
{%- endmacro -%}

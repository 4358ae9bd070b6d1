{#- Lists of a table's columns, four per line. -#}

{#- user_id, one, two …; `of`, if given, is the alias of their table -#}
{%- macro columns(names, of='', indent=4) -%}
{%- for name in names -%}
{{ of ~ '.' if of }}{{ name }}{{ ',' if not loop.last }}
{%- if not loop.last %}{{ '\n' ~ ' ' * indent if loop.index % 4 == 0 else ' ' }}{% endif -%}
{%- endfor -%}
{%- endmacro -%}

{#- Whether two rows differ in some columns. Numbers are compared as written: 7.0 and 7 are equal but differ in scale. A
row that does not exist differs from any row that does. -#}
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

{#- The ledger's checksum of rows, which does not depend on their order. It is computed from text, so that every digit
counts. Version 1. -#}
{%- macro checksum(values) -%}
sum(hashtextextended(row({{ values }})::text, 0))
{%- endmacro -%}

{#- Lists of a table's columns, for the month's statements. `of` is the alias that the columns are taken from. -#}

{#- a.user_id, a.one, a.two … -#}
{%- macro columns(table, of) -%}
    {%- for column in table.columns %}{{ of }}.{{ column }}{{ ', ' if not loop.last }}{% endfor -%}
{%- endmacro -%}

{#- The delivered value, or for an optional column that the file left out, the stored one. -#}
{%- macro value(table, column, delivered, stored) -%}
    {%- if column in table.optional -%}
        case
            when '{{ column }}' = any(file.not_delivered) then {{ stored }}.{{ column }}
            else {{ delivered }}.{{ column }}
        end
    {%- else -%}
        {{ delivered }}.{{ column }}
    {%- endif -%}
{%- endmacro -%}

{#- Lists of a table's columns, for the month's statements. `of` is the alias that the columns are taken from. -#}

{#- a.user_id, a.one, a.two … -#}
{%- macro columns(table, of) -%}
    {%- for column in table.columns %}{{ of }}.{{ column }}{{ ', ' if not loop.last }}{% endfor -%}
{%- endmacro -%}

{#- Which optional columns a file leaves out, as lacks_one, lacks_two … `record` is the row that has not_delivered. -#}
{%- macro lacking(table, record) -%}
    {%- for column in table.optional -%}
        (select '{{ column }}' = any(not_delivered) from {{ record }}) as lacks_{{ column }}{{ ',' if not loop.last }}
    {% endfor -%}
{%- endmacro -%}

{#- The delivered value, or for an optional column that the file left out, the stored one. `file` says which it did. -#}
{%- macro value(table, column, delivered, stored) -%}
    {%- if column in table.optional -%}
        case
            when file.lacks_{{ column }} then {{ stored }}.{{ column }}
            else {{ delivered }}.{{ column }}
        end
    {%- else -%}
        {{ delivered }}.{{ column }}
    {%- endif -%}
{%- endmacro -%}

{#- The order-independent checksum of a snapshot's rows, as the ledger keeps it: text, so that it sees every digit. -#}
{%- macro checksum(table, snapshot) -%}
    sum(hashtextextended(
            row(
                {{ snapshot }}.user_id,
                {{ columns(table, snapshot) }},
                {{ snapshot }}.as_of,
                {{ snapshot }}.source_as_of
            )::text, 0
        ))
{%- endmacro -%}

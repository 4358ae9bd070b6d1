{#- Lists of a table's columns, for the month's statements. `of` is the alias that the columns are taken from. -#}

{#- a.user_id, a.one, a.two … -#}
{%- macro columns(table, of) -%}
    {%- for column in table.columns %}{{ of }}.{{ column }}{{ ', ' if not loop.last }}{% endfor -%}
{%- endmacro -%}

{#- The delivered value, or for an optional column that the file left out, the stored one. `file` says which it did. -#}
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

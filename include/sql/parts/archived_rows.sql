{% from 'parts/month.sql' import as_of with context -%}
{% set table = task.table -%}
-- The rows of a sealed snapshot of {{ table.name }} as the archive has them, sorted by user.
--
-- takes:  the snapshot; `names`, the columns that the ledger's checksum covers
-- leaves: a COPY of them as CSV. A numeric is there twice: as it is, to be read as a double, and as its exact text
copy (
    select
        user_id,
        {%- for name in names if name != 'user_id' %}
        {{ name }},
        {%- if name in table.numbers %}
        {{ name }}::text as {{ name }}__exact,
        {%- endif %}
        {%- endfor %}
        source_as_of,
        '{{ as_of }}T00:00:00Z' as event_timestamp
    from public.{{ table.snapshots }}
    where as_of = '{{ as_of }}'
    order by user_id collate "C"
) to stdout (format csv);

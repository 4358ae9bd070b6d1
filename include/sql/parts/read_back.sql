{% from 'parts/month.sql' import as_of with context -%}
-- Fills the table of schema/read_back.sql with the rows of an archived file.
--
-- takes:  the empty table; `names`, the columns that the ledger's checksum covers
-- leaves: a COPY of them from CSV
copy staging.{{ task.table.read_back(as_of) }} (
    {%- for name in names %}
    {{ name }},
    {%- endfor %}
    source_as_of
) from stdin (format csv);

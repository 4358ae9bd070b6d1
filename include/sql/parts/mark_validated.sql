{% from 'parts/month.sql' import as_of with context -%}
-- Marks the staged file as validated, so that the gate can pass it.
--
-- takes:  the parameters file_sha256 (of the file whose suite has passed), warnings, asks, and profile
-- leaves: the file marked as validated, with what the suite has found, if it is still the recorded one and no one was
--         erased since
update staging.files set
    is_validated = true,
    warnings = warnings || {{ 'warnings' | parameter }}::text[],
    asks = {{ 'asks' | parameter }},
    profile = {{ 'profile' | parameter }}
where
    as_of = date '{{ as_of }}'
    and table_name = '{{ task.table.name }}'
    and file_sha256 = {{ 'file_sha256' | parameter }}
    and erasures = staging.erasures_known()
returning table_name;

{% from 'parts/month.sql' import as_of with context -%}
-- Lets the staged file through the gate.
--
-- takes:  the parameters file_sha256, of the staged file whose suite has passed, warnings and profile
-- leaves: it marked as validated, if it is still the one on record, with what the suite has found
update staging.files set
    is_validated = true,
    warnings = %(warnings)s,
    profile = %(profile)s
where
    as_of = date '{{ as_of }}'
    and table_name = '{{ task.table.name }}'
    and file_sha256 = %(file_sha256)s
returning table_name;

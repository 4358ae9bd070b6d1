-- Lets the staged file through the gate.
--
-- takes:  the parameter file_sha256, of the staged file whose suite has passed
-- leaves: it marked as validated, if it is still the one on record
update staging.files set is_validated = true
where
    as_of = date '{{ month.as_of }}'
    and table_name = '{{ table.name }}'
    and file_sha256 = %(file_sha256)s
returning table_name;

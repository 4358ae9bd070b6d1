-- Adds to the warnings of the staged file.
--
-- takes:  the parameter warnings
-- leaves: each of them on record once
update staging.files set
    warnings = array(select distinct unnest(warnings || %(warnings)s::text[]) order by 1)
where as_of = date '{{ month.as_of }}' and table_name = '{{ table.name }}';

-- Lets the staged file through the gate.
--
-- takes:  the record of a staged file whose suite has passed
-- leaves: it marked as validated
select staging.require_run(date '{{ month.as_of }}', {{ run }});

update staging.files set is_validated = true
where as_of = date '{{ month.as_of }}' and table_name = '{{ table.name }}';

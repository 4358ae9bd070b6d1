-- Which file is staged, if this run still has the month.
--
-- takes:  the record of a load
-- leaves: one row with the file's sha256
select file.file_sha256
from staging.files as file
cross join staging.require_run(date '{{ month.as_of }}', {{ run }})
where file.as_of = date '{{ month.as_of }}' and file.table_name = '{{ table.name }}';

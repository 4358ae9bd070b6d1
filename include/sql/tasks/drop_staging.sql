{% from 'parts/month.sql' import as_of with context -%}
-- Drops what the run has in schema staging, once the month is sealed and live has followed.
--
-- takes:  the staged and built tables of {{ as_of }}
-- leaves: none of them, unless another run has claimed the month meanwhile
select staging.drop_month(date '{{ as_of }}', {{ run_id | literal }});

{% from 'parts/month.sql' import as_of with context -%}
-- Creates an empty staging table for {{ task.table.name }} of {{ as_of }}, with live's columns but no constraints.
--
-- takes:  nothing; replaces the table of an earlier attempt
-- leaves: staging.{{ task.table.staged(as_of) }}, and no record of its file
select staging.create_staging_table(date '{{ as_of }}', '{{ task.table.name }}', {{ run_id | literal }});

{% from 'parts/month.sql' import as_of with context -%}
-- An empty staging table for {{ task.table.name }} of {{ as_of }}, with live's columns and none of its constraints.
--
-- takes:  nothing; what an earlier try left is replaced
-- leaves: staging.{{ task.table.staged(as_of) }}, and nothing on record about its file
select staging.create_staging_table(date '{{ as_of }}', '{{ task.table.name }}', {{ run_id | literal }});

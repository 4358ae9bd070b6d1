-- An empty staging table for {{ table.name }} of {{ month.as_of }}, with live's columns and none of its constraints.
--
-- takes:  nothing; what an earlier try left is replaced
-- leaves: staging.{{ table.name }}_{{ month.suffix }}, and nothing on record about its file
select staging.create_staging_table(date '{{ month.as_of }}', '{{ table.name }}', {{ run }});

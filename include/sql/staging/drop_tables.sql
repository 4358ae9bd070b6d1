-- Clears the workshop once the month is sealed.
--
-- takes:  the staged tables of {{ month.as_of }}
-- leaves: none of them
{% for table in tables.values() %}
drop table if exists staging.{{ table.name }}_{{ month.suffix }};
{% endfor %}
delete from staging.files
where as_of = date '{{ month.as_of }}';

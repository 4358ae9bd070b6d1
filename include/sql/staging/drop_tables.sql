-- Clears the workshop once the month is sealed.
--
-- takes:  the staged tables of {{ month.as_of }}
-- leaves: none of them, unless another run stages the month meanwhile
select staging.release(date '{{ month.as_of }}', {{ run }});

-- What a validation has found.
--
-- takes:  the log of validations; $1, the month; $2, the table; $3, the run, or NULL for any
-- leaves: a query with one row, the newest one; none if there is no such validation
select
    checked_at,
    run_id,
    file_name,
    file_bytes,
    file_sha256,
    delivered,
    is_passed,
    facts,
    result,
    delivered_values
from public.validations
where as_of = $1 and table_name = $2 and ($3::text is null or run_id = $3)
order by checked_at desc
limit 1;

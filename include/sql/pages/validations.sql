-- The validations of a month, without their results.
--
-- takes:  the log of validations; $1, the month
-- leaves: a query with a row per validation, the newest of each table first
select
    table_name,
    checked_at,
    run_id,
    file_name,
    file_sha256,
    delivered,
    is_passed,
    jsonb_array_length(result) as rules,
    (select count(*) from jsonb_array_elements(result) as one where one ->> 'verdict' = 'failed') as failed,
    (select count(*) from jsonb_array_elements(result) as one where one ->> 'verdict' = 'warning') as warned
from public.validations
where as_of = $1
order by table_name asc, checked_at desc;

-- The newest validation of each month and table.
--
-- takes:  the log of validations
-- leaves: a query with a row per month and table: when, in which run, and how many rules are broken
with
newest as (
    select distinct on (as_of, table_name) *
    from public.validations
    order by as_of asc, table_name asc, checked_at desc
)

select
    as_of,
    table_name,
    checked_at,
    run_id,
    delivered,
    is_passed,
    split_part(file_name, '/', 1) as folder,
    (select count(*) from jsonb_array_elements(result) as one where one ->> 'verdict' = 'failed') as failed,
    (select count(*) from jsonb_array_elements(result) as one where one ->> 'verdict' = 'warning') as warned
from newest
order by as_of, table_name;

-- What a person is asked to decide about a month.
--
-- takes:  the log of questions; $1, the month; $2, the run, or NULL for any
-- leaves: a query with one row, the newest question; none if there is no such question
select
    asked_at,
    run_id,
    reason,
    details,
    cells
from public.questions
where as_of = $1 and ($2::text is null or run_id = $2)
order by asked_at desc
limit 1;

-- A table over time: what was measured in each month.
--
-- takes:  the ledger, and the log of validations; $1, the table
-- leaves: a query with a row per month, in order: a sealed month's figures, with what the validation of that very file
--         has found if it is in the log, or the newest validation of a month that is not sealed
with
sealed as (
    select as_of, revision, file_sha256, not_delivered, profile, delivered - suppressed as delivered
    from public.current_deliveries
    where table_name = $1
),

checked as (
    select as_of, checked_at, file_sha256, delivered, is_passed, result
    from public.validations
    where table_name = $1
),

of_sealed as (
    select distinct on (as_of) as_of, checked.result
    from checked
    inner join sealed using (as_of, file_sha256)
    where checked.is_passed
    order by as_of asc, checked.checked_at desc
),

of_others as (
    select distinct on (as_of) as_of, delivered, is_passed, result
    from checked
    where as_of not in (select as_of from sealed)
    order by as_of asc, checked_at desc
)

select as_of, true as is_sealed, true as is_passed, revision, not_delivered, delivered, profile, result
from sealed
left join of_sealed using (as_of)
union all
select
    as_of,
    false as is_sealed,
    is_passed,
    null as revision,
    null as not_delivered,
    delivered,
    null as profile,
    result
from of_others
order by as_of;

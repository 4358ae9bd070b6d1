-- Claims the month for this run.
--
-- takes:  nothing; a run that has it, dead or alive, is told so at its next step
-- leaves: this run in staging.runs; fails if the month's folder is not the one that the ledger expects

-- a folder's number and its month tell which month the first one is: all sealed months must agree with this one
with
first_months as (
    select
        as_of,
        split_part(file_name, '/', 1) as folder,
        to_char(as_of - make_interval(months => substring(file_name from '^month_(\d+)/')::integer), 'YYYY-MM') as name
    from public.current_deliveries
    where file_name ~ '^month_\d+/'
    order by as_of desc
    limit 1
),

this_month as (
    select
        date '{{ month.as_of }}' as as_of,
        {{ folder }} as folder
),

asked as (
    select
        this_month.*,
        to_char(
            this_month.as_of - make_interval(months => substring(this_month.folder from '\d+')::integer), 'YYYY-MM'
        ) as first_month
    from this_month
)

select
    staging.require(
        first_months.name = asked.first_month,
        asked.as_of || ': its folder would be ' || asked.folder || ', as streamflow_first_month is '
        || asked.first_month || E'.\nExpected ' || first_months.name || ': the ledger has '
        || first_months.folder || ' sealed as ' || first_months.as_of || '.',
        'set the Airflow variable streamflow_first_month to ' || first_months.name || ', then {{ run_again }}.'
    )
from asked
cross join first_months;

insert into staging.runs (as_of, run_id)
values (date '{{ month.as_of }}', {{ run }})
on conflict (as_of) do update set run_id = excluded.run_id, claimed_at = now();

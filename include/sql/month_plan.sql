-- Where the month stands among the sealed ones. Every step that writes begins with it, under its own lock, so
-- that it decides on what is true when it writes.
--
-- takes:  the ledger; staging.files of the month
-- leaves: one row in the temporary table month_plan; fails unless all six tables are staged and
--         validated, by this run

-- no one stages the month again while this step relies on what is staged
select staging.lock_staged(date '{{ month.as_of }}');

select staging.require_run(date '{{ month.as_of }}', {{ run }});

select staging.require(
    count(*) = {{ tables | length }},
    'only ' || count(*) || ' of {{ tables | length }} tables of {{ month.as_of }} are staged and validated'
)
from staging.files
where
    as_of = date '{{ month.as_of }}'
    and is_validated
    and to_regclass(format('staging.%I', staging.staged_name(table_name, as_of))) is not null;

create temporary table month_plan on commit drop as
with
sealed as (
    select as_of, table_name, file_sha256
    from public.current_deliveries
),

other_files as (
    select as_of, table_name, file_sha256
    from staging.files
    where as_of = date '{{ month.as_of }}'
    except
    select as_of, table_name, file_sha256
    from sealed
),

this_month as (
    select date '{{ month.as_of }}' as as_of
),

standing as (
    select
        this_month.as_of,
        (select max(sealed.as_of) from sealed where sealed.as_of < this_month.as_of) as previous,
        (select max(sealed.as_of) from sealed) as newest_sealed,
        (select count(*) > 0 from sealed where sealed.as_of = this_month.as_of) as is_sealed,
        -- sealed with these very files: nothing is left to do
        not exists (select from other_files) as is_same,
        -- no sealed month is as new: this one becomes the newest, and live follows it
        not exists (select from sealed where sealed.as_of >= this_month.as_of) as is_head
    from this_month
)

-- a restated run looks at its month even if the files are the same, and so repairs what was done to it
select standing.*, not is_head and (not is_same or {{ restate }}) as may_change_sealed
from standing;

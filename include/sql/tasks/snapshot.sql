{% from 'parts/state.sql' import state %}{% from 'parts/month.sql' import as_of with context -%}
{% from 'parts/columns.sql' import columns -%}
{% set table = task.table %}{% set snapshots = 'public.' ~ table.snapshots -%}
{% set build = 'staging.' ~ table.build(as_of) %}{% set changes = 'staging.' ~ table.changes(as_of) -%}
-- Builds the snapshot of {{ table.name }} for {{ as_of }} in staging.
--
-- takes:  the validated rows; the nearest earlier sealed snapshot; sealed snapshots from {{ as_of }} on
-- leaves: the build, complete and with its key, and the changes: rows of sealed months that would differ.
--         Both are empty if the month is sealed with the same file, unless it is restated.
{% include 'parts/session.sql' %}
select staging.create_build(
    date '{{ as_of }}', '{{ table.name }}', {{ run_id | literal }}, {{ params.restate | lower }}
);

insert into {{ build }}
with
plan as (select * from staging.builds where as_of = '{{ as_of }}' and table_name = '{{ table.name }}'),

left_out as (select not_delivered as names from plan),

delivered as not materialized (
    select * from staging.{{ table.staged(as_of) }} where (select is_built from plan)
),

previous as not materialized (
    select * from {{ snapshots }} where as_of = (select previous from plan where is_built)
)

{{ state(table, "date '" ~ as_of ~ "'", 0) }};

-- only users whose row changes in one month can change in the next one; stop at a month without changes
do $$
declare
    month record;
    before date;
begin
    for month in select * from staging.months_to_compare('{{ as_of }}', '{{ table.name }}') loop
        insert into {{ changes }}
        with
        changed as (select * from {{ changes }} where as_of = before),
        left_out as (select month.not_delivered as names),
        previous as (select * from changed where what <> 'removed'),
        sealed as (
            select {{ columns(table.all_columns, '', 16) }}, as_of, source_as_of
            from {{ snapshots }}
            where as_of = month.as_of and (before is null or user_id in (select user_id from changed))
        ),
        delivered as (select * from sealed where before is not null and source_as_of = as_of),
        state as (
            {{ state(table, 'month.as_of', 12) }}
            union all
            -- the month itself; if it is late, only the rows that it delivers can change later months
            select * from {{ build }}
            where before is null and (month.is_sealed or source_as_of = as_of)
        )
        select state.*, case when sealed.user_id is null then 'added' else 'changed' end
        from state left join sealed using (user_id)
        where record_image_ne(state, sealed) is not false
        union all
        select sealed.*, 'removed'
        from sealed where not exists (select from state where state.user_id = sealed.user_id);
        exit when not found;
        before := month.as_of;
    end loop;
end
$$;

select built, delivered, inserted, updated, unchanged, carried_forward
from staging.finish_build(date '{{ as_of }}', '{{ table.name }}', {{ run_id | literal }});

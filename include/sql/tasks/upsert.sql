{% from 'parts/columns.sql' import columns, differ %}{% set table = task.table -%}
-- Brings live {{ table.name }} to the newest sealed snapshot.
--
-- takes:  the newest snapshot in the ledger, no matter which month this run is for
-- leaves: live equal to it: new users inserted, changed rows updated, users who are gone deleted, identical rows
--         not rewritten
{% include 'parts/session.sql' %}
lock table public.{{ table.name }} in share row exclusive mode;

create temporary table upserted (
    live_is text, ledger_rows bigint, inserted bigint, updated bigint, deleted bigint
) on commit drop;

with
ledger as materialized (
    select max(as_of) filter (where table_name = '{{ table.name }}') as as_of, count(*) as row_count
    from public.deliveries
),

newest as (
    select {{ columns(table.all_columns, '', 8) }}
    from public.{{ table.snapshots }}
    where as_of = (select as_of from ledger)
),

changed as materialized (
    select
        coalesce(newest.user_id, live.user_id) as user_id,
        {{ columns(table.columns, 'newest', 8) }},
        case
            when live.user_id is null then 'inserted'
            when newest.user_id is null then 'deleted'
            else 'updated'
        end as what
    from public.{{ table.name }} as live
    full join newest using (user_id)
    where
        {{ differ(table, table.all_columns, 'live', 'newest', 12) }}
),

deleted as (
    delete from public.{{ table.name }} as live using changed
    where live.user_id = changed.user_id and what = 'deleted'
),

updated as (
    update public.{{ table.name }} as live set
        {%- for name in table.columns %}
        {{ name }} = changed.{{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from changed
    where live.user_id = changed.user_id and what = 'updated'
),

inserted as (
    insert into public.{{ table.name }} ({{ columns(table.all_columns, '', 8) }})
    select {{ columns(table.all_columns, '', 8) }}
    from changed
    where what = 'inserted'
)

insert into upserted
select
    (select as_of::text from ledger) as live_is,
    (select row_count from ledger) as ledger_rows,
    count(*) filter (where what = 'inserted') as inserted,
    count(*) filter (where what = 'updated') as updated,
    count(*) filter (where what = 'deleted') as deleted
from changed;

-- an empty table gets its foreign key when it is full (schema/live_keys.sql)
{% if table.refers_to -%}
select staging.set_key('{{ table.name }}');
{% endif -%}
{% if tables.values() | selectattr('refers_to', 'eq', table.name) | list -%}
select staging.lift_keys('{{ table.name }}');
{% endif %}
select live_is, ledger_rows, inserted, updated, deleted from upserted;

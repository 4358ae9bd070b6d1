-- Is everything as it was sealed? Counts and checksums of every snapshot against the ledger, live against the
-- newest snapshot, row by row.
--
-- takes:  the ledger, the snapshots and live; it reads all of them
-- leaves: a query with a row per difference: where, which month, what was expected, what was found, some of
--         the users it concerns, and for live the month whose run has sealed what live is compared with, and not ended
{% import 'parts/columns.sql' as sql %}
-- a month that is sealed meanwhile is either there, ledger and snapshots, or not
set local transaction_isolation = 'repeatable read';
set local datestyle = 'ISO';  -- the checksums are of text

with
sealed as (
    select * from public.current_deliveries
),

found as (
    {%- for table in tables.values() %}
    select
        '{{ table.name }}' as table_name,
        snapshot.as_of,
        count(*) as snapshot_rows,
        {{ sql.checksum(table, 'snapshot', 12) }} as snapshot_checksum
    from public.{{ table.snapshots }} as snapshot
    -- rows that were built before this transaction, and attached after it began, are not sealed for it
    where snapshot.tableoid in (select inhrelid from pg_inherits)
    group by snapshot.as_of
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

newest as (
    select max(as_of) as as_of from sealed
),

live as (
    {%- for table in tables.values() %}
    select
        '{{ table.name }}' as table_name,
        coalesce(live.user_id, snapshot.user_id) as user_id,
        case
            when live.user_id is null then 'missing'
            when snapshot.user_id is null then 'added'
            else 'changed'
        end as what
    from public.{{ table.name }} as live
    full join (
        select * from public.{{ table.snapshots }}
        where as_of = (select as_of from newest)
    ) as snapshot on live.user_id = snapshot.user_id
    where
        record_image_ne(
            row({{ sql.columns(table.all_columns, 'live', 16) }}),
            row({{ sql.columns(table.all_columns, 'snapshot', 16) }})
        )
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

-- the month whose run has sealed that snapshot, and has not ended: it is under way, or has failed
under_way as (
    select max(runs.as_of) as as_of
    from staging.runs
    inner join public.deliveries on runs.run_id = deliveries.run_id and deliveries.sealed_at >= runs.claimed_at
    where deliveries.as_of = (select as_of from newest)
),

relations as (
    {%- for table in tables.values() %}
    select '{{ table.name }}' as table_name, '{{ table.snapshots }}' as snapshots
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    relations.snapshots as relation,
    coalesce(sealed.as_of, found.as_of)::text as as_of,
    coalesce(sealed.snapshot_rows || ' rows, checksum ' || sealed.snapshot_checksum, 'not sealed') as expected,
    coalesce(found.snapshot_rows || ' rows, checksum ' || found.snapshot_checksum, 'no rows') as found,
    '{}'::text[] as users,
    null as under_way
from sealed
full join found on sealed.table_name = found.table_name and sealed.as_of = found.as_of
inner join relations on relations.table_name = coalesce(sealed.table_name, found.table_name)
where
    (sealed.snapshot_rows, sealed.snapshot_checksum)
    is distinct from (coalesce(found.snapshot_rows, 0), coalesce(found.snapshot_checksum, 0))
union all
select
    live.table_name as relation,
    newest.as_of::text as as_of,
    'live equal to the newest snapshot' as expected,
    count(*) || case when count(*) = 1 then ' row ' else ' rows ' end || live.what as found,
    (array_agg(live.user_id order by live.user_id))[:5] as users,
    under_way.as_of::text as under_way
from live
cross join newest
cross join under_way
group by live.table_name, newest.as_of, live.what, under_way.as_of
order by as_of, relation, found;

-- Compares the counts and checksums of every snapshot with the ledger, and live with the newest snapshot, row by
-- row. Read-only.
--
-- takes:  the ledger, the snapshots, and live; it reads all of them
-- leaves: a query with one row per difference: table, month, what was expected, what was found, some of the users
--         and, for live, the month whose run sealed the newest snapshot and has not ended
{% import 'parts/columns.sql' as sql %}
-- a month that is sealed in the meantime is seen completely, ledger and snapshots, or not at all
set local transaction_isolation = 'repeatable read';
set local datestyle = 'ISO';
-- before the first query: no snapshot is dropped for as long as this transaction compares them
{%- for table in tables.values() %}
lock table only public.{{ table.snapshots }} in access share mode;
{%- endfor %}

with
-- without those that are only in the archive
sealed as (
    select * from public.current_deliveries
    where (as_of, table_name) not in (select as_of, table_name from public.archived_snapshots)
),

-- the partitions that this transaction sees as attached; if one that was built before it began is attached later, its
-- month is not sealed for this transaction
attached as (
    select
        table_name,
        inhparent::regclass as snapshots,
        substring(pg_get_expr(relpartbound, pg_class.oid) from '\d{4}-\d{2}-\d{2}')::date as as_of
    from staging.tables() as tables
    inner join pg_inherits on inhparent = to_regclass(format('public.%I', tables.snapshots))
    inner join pg_class on pg_class.oid = inhrelid
),

found as (
    select checksums.*, table_name, as_of
    from attached
    left join sealed using (table_name, as_of)
    cross join lateral staging.checksum_of(
        snapshots, as_of, coalesce(columns, staging.columns_of(table_name))
    ) as checksums
    where checksums.snapshot_rows > 0
),

newest as (
    select table_name, max(as_of) as as_of from sealed group by table_name
),

{% for table in tables.values() -%}
newest_{{ table.name }} as (
    select * from public.{{ table.snapshots }}
    where as_of = (select as_of from newest where table_name = '{{ table.name }}')
),

{% endfor -%}
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
    full join newest_{{ table.name }} as snapshot on live.user_id = snapshot.user_id
    where
        {{ sql.differ(table, table.all_columns, 'live', 'snapshot', 12) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

-- the month whose run sealed that snapshot and has not ended: it is still running, or it failed
under_way as (
    select
        newest.table_name,
        max(runs.as_of) as as_of
    from newest
    inner join public.deliveries using (table_name, as_of)
    inner join staging.runs on deliveries.run_id = runs.run_id and deliveries.sealed_at >= runs.claimed_at
    group by newest.table_name
)

select
    staging.snapshots_of(table_name) as relation,
    as_of::text as as_of,
    coalesce(sealed.snapshot_rows || ' rows, checksum ' || sealed.snapshot_checksum, 'not sealed') as expected,
    coalesce(
        found.snapshot_rows || ' rows'
        || coalesce(', checksum ' || found.snapshot_checksum, ', and columns are gone')
        || case when later_values > 0 then ', values in columns that came later' else '' end,
        'no rows'
    ) as found,
    '{}'::text[] as users,
    null as under_way
from sealed
full join found using (table_name, as_of)
where
    (sealed.snapshot_rows, sealed.snapshot_checksum, 0)
    is distinct from
    (coalesce(found.snapshot_rows, 0), coalesce(found.snapshot_checksum, 0), coalesce(later_values, 0))
union all
select
    live.table_name as relation,
    newest.as_of::text as as_of,
    'live equal to the newest snapshot' as expected,
    count(*) || case when count(*) = 1 then ' row ' else ' rows ' end || live.what as found,
    (array_agg(live.user_id order by live.user_id))[:5] as users,
    under_way.as_of::text as under_way
from live
left join newest using (table_name)
left join under_way using (table_name)
group by live.table_name, newest.as_of, live.what, under_way.as_of
order by as_of, relation, found;

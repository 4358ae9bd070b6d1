-- The sealed months that are in the database and older than the newest keep_months ones, oldest first.
--
-- takes:  the ledger and public.archives; the parameter keep_months
-- leaves: a query with a row per month: the tables whose newest revision is not archived
with
older as (
    select as_of
    from public.deliveries
    group by as_of
    order by as_of desc
    offset {{ 'keep_months' | parameter }}::bigint
),

newest as (
    select max(as_of) as as_of from public.deliveries group by table_name
)

select
    sealed.as_of::text as as_of,
    coalesce(
        array_agg(sealed.table_name order by sealed.table_name) filter (where archived.place is null), '{}'
    ) as not_archived
from public.current_deliveries as sealed
left join public.current_archives as archived using (as_of, table_name, revision)
where
    sealed.as_of in (select as_of from older)
    and sealed.as_of not in (select as_of from newest)
    and (sealed.as_of, sealed.table_name) not in (select as_of, table_name from public.archived_snapshots)
group by sealed.as_of
order by sealed.as_of;

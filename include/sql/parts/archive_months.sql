-- The sealed months of which something is in the database, oldest first.
--
-- takes:  the ledger; the parameter month, or NULL for all
-- leaves: a query with a row per month
select distinct sealed.as_of
from public.current_deliveries as sealed
where
    (sealed.as_of, sealed.table_name) not in (select as_of, table_name from public.archived_snapshots)
    and ({{ 'month' | parameter }}::date is null or sealed.as_of = {{ 'month' | parameter }}::date)
order by sealed.as_of;

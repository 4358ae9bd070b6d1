-- The months that are only in the archive, and that months of an erasure may have to be counted again with: for each
-- that is not erased yet, the sealed month before it.
--
-- takes:  the ledger, public.erasure_months, and public.archives; the parameter erasure
-- leaves: a query with a row per month
select distinct archived.as_of::text as as_of
from public.erasure_months as listed
cross join lateral (
    select max(earlier.as_of) as as_of
    from public.deliveries as earlier
    where earlier.table_name = listed.table_name and earlier.as_of < listed.as_of
) as before
inner join public.archived_snapshots as archived using (table_name)
where
    listed.erasure_id = {{ 'erasure' | parameter }}
    and listed.erased_at is null and listed.is_recounted
    and archived.as_of = before.as_of
order by as_of;

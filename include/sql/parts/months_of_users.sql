-- The months that erasures of some users have changed, oldest first.
--
-- takes:  public.erasures and public.erasure_months; the parameter hashes
-- leaves: a query with a row per month
select distinct as_of::text as as_of
from public.erasure_months
where erasure_id in (select erasure_id from public.erasures where user_hash = any({{ 'hashes' | parameter }}))
order by as_of;

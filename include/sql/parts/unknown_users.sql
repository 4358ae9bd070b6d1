-- How many of some users have no row in any snapshot. Read-only.
--
-- takes:  the snapshots; the parameter users
-- leaves: a query with one row
select count(*) as users
from unnest({{ 'users' | parameter }}::text[]) as asked (user_id)
where not exists (
    select from public.{{ root.snapshots }} as snapshot where snapshot.user_id = asked.user_id
);

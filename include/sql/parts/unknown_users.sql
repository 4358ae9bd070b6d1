-- Which of some users have no row in any snapshot of the database. Read-only.
--
-- takes:  the snapshots; the parameter users
-- leaves: a query with a row per user
select asked.user_id
from unnest({{ 'users' | parameter }}::text[]) as asked (user_id)
where not exists (
    select from public.{{ root.snapshots }} as snapshot where snapshot.user_id = asked.user_id
);

-- What appeared, changed, or went for a user, month by month.
--
-- takes:  the snapshots; $1, the user_id
-- leaves: a query with a row per month and table in which there was a change
select as_of, table_name, what, was, is_now from public.user_history($1);

-- Makes the planner's statistics forget erased users: they keep some of the ids of each table. Only tables that have
-- one are analyzed, and only that column, by a small sample. No reader waits for it, nor does anyone who seals.
--
-- takes:  the users, after their rows are gone
-- leaves: statistics without them
create or replace function staging.analyze_erased(users text[]) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp set default_statistics_target = 10 as $$
declare
    name text;
begin
    for name in
        select format('%I.%I', schemaname, tablename) from pg_stats
        where
            schemaname = 'public' and attname = 'user_id'
            and (histogram_bounds::text::text[] && users or most_common_vals::text::text[] && users)
    loop
        execute format('analyze %s (user_id)', name);
    end loop;
end
$$;

-- Analyzes a loaded table for the planner. A sample of 3,000 rows says as much about keys, sizes, and order as the
-- default of 30,000.
create or replace function staging.analyze_staged(month date, table_name text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp set default_statistics_target = 10 as $$
begin
    execute format('analyze staging.%I', staging.relation_name(table_name, month));
end
$$;

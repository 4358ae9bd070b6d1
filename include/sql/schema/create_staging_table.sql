-- Creates a table's empty staging table, with live's columns but no constraints.
create or replace function staging.create_staging_table(month date, table_name text, run text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    staged text := staging.relation_name(table_name, month);
begin
    -- after a server crash, no run has the month
    insert into staging.runs (as_of, run_id) values (month, run) on conflict (as_of) do nothing;
    perform from staging.runs where as_of = month for update;  -- one at a time
    perform staging.assert_run_owns_month(month, run);
    delete from staging.files as file where file.as_of = month and file.table_name = create_staging_table.table_name;
    execute format('drop table if exists staging.%I', staged);
    -- nothing in it is ever to be vacuumed, and to drop it would wait a second until autovacuum is cancelled
    execute format(
        'create unlogged table staging.%I (like public.%I) with (autovacuum_enabled = false)', staged, table_name
    );
    -- the suite finds missing values, and reports them with their lines and the reason
    execute format('alter table staging.%I alter column user_id drop not null', staged);
    if to_regrole('streamflow_ingest') is not null then
        execute format('grant select, insert on staging.%I to streamflow_ingest', staged);
    end if;
end
$$;

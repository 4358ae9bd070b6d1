-- Drops a run's staging tables and builds, unless another run has claimed the month.
create or replace function staging.drop_month(month date, run text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    name text;
begin
    delete from staging.runs where as_of = month and run_id = run;
    if found then
        delete from staging.files where as_of = month;
        delete from staging.builds where as_of = month;
        for name in select table_name from staging.tables() loop
            execute format(
                'drop table if exists staging.%I, staging.%I, staging.%I',
                staging.relation_name(name, month),
                staging.relation_name(name, month, 'build'),
                staging.relation_name(name, month, 'changes')
            );
        end loop;
    end if;
end
$$;

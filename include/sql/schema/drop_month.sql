-- Drops a run's staging tables and builds, unless another run has claimed the month. Returns the months that this run,
-- and the runs of the month that did not finish before it, have sealed or changed; NULL if another run has the month,
-- and will say so.
create or replace function staging.drop_month(month date, run text) returns date[]
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    name text;
    claim staging.runs;
    months date[] := '{}';
begin
    delete from staging.runs where as_of = month and run_id = run returning * into claim;
    if found then
        select coalesce(array_agg(distinct ledger.as_of), '{}') into months
        from public.deliveries as ledger
        where ledger.run_id = any(claim.unfinished_runs || claim.run_id) and ledger.sealed_at >= claim.first_claimed_at;
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
    elsif exists (select from staging.runs where as_of = month) then
        return null;
    end if;
    return months;
end
$$;

-- Finishes a build: revokes its maker's right to insert, adds the key, counts it, and checks that it is state(k).
create or replace function staging.finish_build(month date, of_table text, run text)
returns table (
    built boolean, delivered bigint, inserted bigint, updated bigint, unchanged bigint, carried_forward bigint
)
language plpgsql security definer set search_path = pg_catalog, pg_temp set maintenance_work_mem = '256MB' as $$
declare
    build text := staging.relation_name(of_table, month, 'build');
    changes text := staging.relation_name(of_table, month, 'changes');
    plan staging.builds;
    counted staging.counts;
begin
    -- at any other level, rows that were inserted later would get a key but not be counted
    perform staging.assert_true(
        current_setting('transaction_isolation') = 'read committed', 'finish_build needs isolation level read committed'
    );
    perform staging.assert_run_owns_month(month, run);
    if to_regrole('streamflow_ingest') is not null then
        execute format('revoke insert on staging.%I, staging.%I from streamflow_ingest', build, changes);
    end if;
    select * into plan from staging.builds where as_of = month and table_name = of_table and run_id = run;
    perform staging.assert_true(found, format('no build of %s for %s has begun', of_table, month));
    -- this also waits for anyone who still writes to it; with the check constraint, attaching needs no scan
    execute format(
        'alter table staging.%I add primary key (user_id, as_of), add constraint as_of check (as_of = %L)', build, month
    );
    execute format('alter table staging.%I add unique (as_of, user_id)', changes);
    execute format('analyze staging.%I', changes);  -- seal looks up its users month by month
    if plan.is_built then
        execute format('select * from staging.count_%s($1, $2, $3, $4)', of_table)
        into counted using format('staging.%I', build)::regclass, month, plan.previous, plan.not_delivered;
        perform staging.assert_true(
            counted.is_state and counted.delivered = (
                select file.delivered - file.suppressed from staging.files as file
                where (file.as_of, file.table_name, file.file_sha256) = (month, of_table, plan.file_sha256)
            )
            -- if another run has sealed a month since, the build may be wrong, and cannot be published anyway
            or plan.base <> (select count(*) from public.deliveries),
            format(
                'the snapshot of %s for %s does not have the rows that the file and the month before have',
                of_table, month
            )
        );
        update staging.builds as target set counts = counted
        where target.as_of = month and target.table_name = of_table;
    end if;
    return query select
        plan.is_built, counted.delivered, counted.inserted, counted.updated,
        counted.delivered - counted.inserted - counted.updated, counted.carried_forward;
end
$$;

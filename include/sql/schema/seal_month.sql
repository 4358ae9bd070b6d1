-- Publishes a month. This is the only way to change what is sealed. The caller needs only the right to call it. It
-- attaches tables that only the owner could create and has counted, checks every sealed month that it changes, and
-- writes the ledger. A sealed month changes only if the run restates, or if a person has approved exactly these builds
-- (`audit` is the gate's result). For a month in order it takes milliseconds, whatever its size.
create or replace function staging.seal_month(month date, run text, restate boolean, audit jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set datestyle = 'ISO' as $$
declare
    build staging.builds;
    recorded public.current_deliveries;
    changed date[];
    counts staging.counts;
    later_months staging.later_month[];
    later staging.later_month;
    odd text[];
    warnings text[] := array(select jsonb_array_elements_text(audit -> 'warnings'));
    may_change boolean := restate or audit -> 'approval' is not null;
begin
    -- at any other level, it would not see months that were sealed in the meantime
    perform staging.assert_true(
        current_setting('transaction_isolation') = 'read committed', 'seal_month needs isolation level read committed'
    );
    lock table staging.publish_lock in exclusive mode;
    -- no one can stage or build the month again in the meantime
    perform from staging.runs where as_of = month for update;
    perform from staging.files where as_of = month for update;
    perform from staging.builds where as_of = month for update;
    perform staging.assert_built(month, run);
    if exists (
        select from staging.builds as stale
        where stale.as_of = month and stale.base <> (select count(*) from public.deliveries)
    ) then
        raise serialization_failure using
            message = format('another run has sealed a month since the snapshots of %s were built', month),
            hint = 'build them again: {{ run_again }}.';
    end if;
    if staging.builds_of(month) is distinct from audit ->> 'builds' then
        raise serialization_failure using
            message = format('the snapshots of %s were built again after they passed the gate', month),
            hint = 'they must pass the gate again: {{ run_again }}.';
    end if;
    for build in
        select builds.*
        from staging.builds
        inner join staging.tables() using (table_name)
        where as_of = month and is_built
        order by place
    loop
        odd := case when build.table_name = '{{ root.name }}' then warnings else '{}' end;
        later_months := array(
            select later_month from staging.later_months(month, build.table_name, build.is_sealed) as later_month
        );
        execute format('select staging.apply_changes_%s($1, $2)', build.table_name)
        into changed using month, build.is_sealed;
        perform staging.assert_true(may_change or changed = '{}', 'sealed snapshots would change');
        if build.is_sealed then
            counts := staging.count_sealed(build.table_name, month, build.previous, build.not_delivered);
            perform staging.assert_follows(
                build.table_name, month,
                counts.is_state and counts.snapshot_checksum = (build.counts).snapshot_checksum
            );
        else
            counts := build.counts;
            perform staging.attach_build(month, build.table_name);
        end if;
        select * into recorded from public.current_deliveries where as_of = month and table_name = build.table_name;
        if
            not build.is_sealed or month = any(changed)
            or may_change and (
                recorded.file_sha256,
                recorded.delivered - recorded.suppressed,
                recorded.snapshot_rows,
                -- it cannot be computed again if a migration has dropped a column, or compared if columns came later
                recorded.columns <@ staging.columns_of(build.table_name),
                case when recorded.columns = staging.columns_of(build.table_name) then recorded.snapshot_checksum end
            )
            is distinct from (
                build.file_sha256,
                counts.delivered,
                counts.delivered + counts.carried_forward,
                true,
                case when recorded.columns = staging.columns_of(build.table_name) then counts.snapshot_checksum end
            )
        then
            perform staging.add_revision(
                month, build.table_name, counts, run, true, odd, audit -> 'approval'
            );
        end if;

        foreach later in array later_months loop
            counts := staging.count_later(later, build.table_name, month);
            perform staging.assert_follows(build.table_name, later.as_of, counts.is_state);
            if later.as_of = any(changed) then
                perform staging.add_revision(
                    later.as_of, build.table_name, counts, run, false, odd, audit -> 'approval'
                );
            end if;
        end loop;
    end loop;

    return (
        select jsonb_build_object(
            'as_of', month,
            'ledger_rows_written', count(*) filter (where ledger.sealed_at = now()),
            'months_sealed', string_agg(distinct ledger.as_of::text, ', ') filter (where ledger.sealed_at = now()),
            -- all revisions since the run claimed the month, so that a second attempt after a lost connection returns
            -- the same as the first; without the checksum, which is too large for what Airflow's processes exchange
            'revisions', coalesce(
                jsonb_agg(
                    to_jsonb(ledger) - '{profile, warnings, snapshot_checksum}'::text[]
                    order by ledger.as_of, ledger.table_name
                )
                filter (
                    where ledger.run_id = run
                    and ledger.sealed_at >= (select claimed_at from staging.runs where as_of = month)
                ), '[]'
            )
        )
        from public.deliveries as ledger
    );
end
$$;

-- Publishes a month. This is the only way to change what is sealed. The caller needs only the right to call it. It
-- attaches tables that only the owner could create and has counted, checks every sealed month that it changes, and
-- writes the ledger. A sealed month changes only if the run restates, or if a person has approved exactly these builds
-- (`audit` is the gate's result). For a month in order it takes milliseconds, whatever its size.
create or replace function staging.seal_month(month date, run text, restate boolean, audit jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set datestyle = 'ISO' as $$
declare
    build staging.builds;
    sealed record;
    changed date[];
    counts staging.counts;
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
        execute format('select staging.apply_changes_%s($1, $2)', build.table_name)
        into changed using month, build.is_sealed;
        perform staging.assert_true(may_change or changed = '{}', 'sealed snapshots would change');
        if not build.is_sealed then
            perform staging.attach_build(month, build.table_name);
            perform staging.add_revision(
                month, build.table_name, build.counts, run, true,
                case when build.table_name = '{{ root.name }}' then warnings else '{}' end,
                audit -> 'approval'
            );
        end if;

        -- of the months that were sealed before, each changed one, and the one after it, must be state(k)
        for sealed in
            select *
            from (
                select
                    as_of,
                    not_delivered,
                    file_sha256,
                    delivered - suppressed as delivered,
                    snapshot_rows,
                    -- a checksum that does not cover the current columns cannot be compared with one that does
                    case when columns = staging.columns_of(table_name) then snapshot_checksum end as snapshot_checksum,
                    -- and it cannot be recomputed at all if a migration has dropped one of its columns
                    columns <@ staging.columns_of(table_name) as is_provable,
                    lag(as_of) over (order by as_of) as previous
                from (
                    select deliveries.as_of from public.deliveries where table_name = build.table_name
                    union
                    select month
                ) as months
                left join (
                    select * from public.current_deliveries where table_name = build.table_name
                ) as ledger using (as_of)
            ) as in_order
            where
                in_order.as_of > month and (in_order.as_of = any(changed) or in_order.previous = any(changed || month))
                or in_order.as_of = month and build.is_sealed
            order by in_order.as_of
        loop
            execute format('select * from staging.count_%s($1, $2, $3, $4)', build.table_name)
            into counts
            using
                format(
                    'public.%I', staging.snapshots_of(build.table_name) || to_char(sealed.as_of, '_YYYYMMDD')
                )::regclass,
                sealed.as_of,
                sealed.previous,
                case when sealed.as_of = month then build.not_delivered else sealed.not_delivered end;
            perform staging.assert_true(
                counts.is_state
                and (sealed.as_of > month or counts.snapshot_checksum = (build.counts).snapshot_checksum),
                format(
                    E'the sealed snapshot of %s for %s does not follow from the months before it.\n'
                    'Something other than this pipeline wrote to it. Nothing was sealed.',
                    build.table_name, sealed.as_of
                ),
                format('restate %s first: run it with restate=true.', sealed.as_of)
            );
            if
                sealed.as_of = any(changed)
                or sealed.as_of = month and may_change
                and (
                    sealed.file_sha256, sealed.delivered, sealed.snapshot_rows, sealed.is_provable,
                    sealed.snapshot_checksum
                )
                is distinct from (
                    build.file_sha256, counts.delivered, counts.delivered + counts.carried_forward, true,
                    case when sealed.snapshot_checksum is not null then counts.snapshot_checksum end
                )
            then
                perform staging.add_revision(
                    sealed.as_of, build.table_name, counts, run, sealed.as_of = month,
                    case when build.table_name = '{{ root.name }}' then warnings else '{}' end,
                    audit -> 'approval'
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

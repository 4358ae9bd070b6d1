-- Drops a sealed month's snapshots from the database. They stay in the archive: each was read back in this very
-- transaction, and had the rows of its newest revision. The newest keep_months months are never dropped, and neither is
-- the newest month of any table, because live equals it and the next month is computed from it.
create or replace function staging.drop_archived_month(month date, run text, keep_months integer) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp set lock_timeout = '10s' as $$
declare
    snapshots text;
    not_read_back text;
begin
    -- at any other level, it would not see months that were sealed in the meantime
    perform staging.assert_true(
        current_setting('transaction_isolation') = 'read committed',
        'drop_archived_month needs isolation level read committed'
    );
    perform staging.assert_true(keep_months >= 1, 'at least one month is kept in the database');
    lock table staging.publish_lock in exclusive mode;
    perform staging.assert_true(
        exists (select from public.deliveries where as_of = month)
        and month not in (
            select as_of from public.deliveries group by as_of order by as_of desc limit keep_months
        )
        and month not in (select max(as_of) from public.deliveries group by table_name),
        format(
            E'%s is not dropped from the database.\n'
            'It is among the newest %s sealed months, or the newest of a table, or not sealed.',
            month, keep_months
        ),
        'nothing: it is dropped when later months are sealed.'
    );
    select string_agg(format('%s (revision %s)', sealed.table_name, sealed.revision), ', ' order by sealed.table_name)
    into not_read_back
    from public.current_deliveries as sealed
    where
        sealed.as_of = month
        and sealed.table_name not in (select table_name from public.archived_snapshots where as_of = month)
        and not exists (
            select from public.archives as archived
            where
                (archived.as_of, archived.table_name, archived.revision, archived.run_id, archived.read_back_at)
                = (sealed.as_of, sealed.table_name, sealed.revision, run, now())
        );
    perform staging.assert_true(
        not_read_back is null,
        format(
            E'%s is not dropped from the database.\n'
            'This run has not read all of it back from the archive: %s.',
            month, not_read_back
        ),
        'make archive'
    );
    for snapshots in
        select tables.snapshots
        from staging.tables() as tables
        inner join public.current_deliveries as sealed on tables.table_name = sealed.table_name
        where
            sealed.as_of = month
            and sealed.table_name not in (select table_name from public.archived_snapshots where as_of = month)
        order by tables.place
    loop
        -- waits for queries that read the snapshots, and others wait for it meanwhile: hence the timeout
        execute format('lock table only public.%I in access exclusive mode', snapshots);
        execute format(
            'alter table public.%I detach partition public.%I', snapshots, snapshots || to_char(month, '_YYYYMMDD')
        );
        execute format('drop table public.%I', snapshots || to_char(month, '_YYYYMMDD'));
    end loop;
end
$$;

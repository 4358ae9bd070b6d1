{% from 'parts/columns.sql' import checksum -%}
-- Erases users from a sealed month: their rows in its snapshots and, where a snapshot is the table's newest, in live.
-- Each table gets a revision of the kind erasure. Its checksum is the one before, less that of the removed rows: so
-- nothing else can change, what was changed by hand before still differs, and it takes milliseconds, whatever the
-- month's size. Months must be erased oldest first.
--
-- takes:  a recorded erasure, a month of it, and its users
-- leaves: the month without them; returns how many rows were removed, 0 if the month was done already
create or replace function staging.erase_month(erasure uuid, month date, users text[]) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set datestyle = 'ISO' as $$
declare
    said public.erasures;
    gone record;
    removed record;
    ledger public.deliveries;
    counts staging.counts;
    covered text;
    row_count bigint := 0;
begin
    lock table staging.publish_lock in exclusive mode;
    select * into said from public.erasures where erasure_id = erasure and completed_at is null limit 1;
    perform staging.assert_true(found, 'no such erasure is under way', 'start it again.');
    perform staging.assert_true(
        not exists (
            select from public.erasure_months where erasure_id = erasure and as_of < month and erased_at is null
        ),
        format('months before %s are not erased yet', month), 'erase the months oldest first.'
    );
    for gone in
        select listed.*, tables.snapshots
        from public.erasure_months as listed
        inner join staging.tables() as tables using (table_name)
        where listed.erasure_id = erasure and listed.as_of = month and listed.erased_at is null
        order by tables.place
    loop
        select * into ledger from public.deliveries
        where as_of = month and table_name = gone.table_name
        order by revision desc
        limit 1;
        -- NULL if a migration has dropped a column: the checksum cannot be computed any more, and is kept
        select string_agg(quote_ident(name), ', ' order by place) into covered
        from unnest(ledger.columns) with ordinality as listed (name, place)
        where ledger.columns <@ staging.columns_of(gone.table_name);
        execute format(
            $delete$
            with
            gone as (
                delete from public.%I as snapshot where as_of = $1 and user_id = any($2)
                returning snapshot.*
            )

            select count(*) as row_count, coalesce(%s, 0) as checksum from gone
            $delete$,
            gone.snapshots,
            coalesce(format($sum${{ checksum('%s, as_of, source_as_of') }}$sum$, covered), 'null::numeric')
        ) into removed using month, users;
        perform staging.assert_true(
            removed.row_count = gone.inserted + gone.updated + gone.unchanged + gone.carried_forward,
            format(
                '%s of %s has %s rows of these users, not %s as when the erasure began',
                gone.snapshots, month, removed.row_count,
                gone.inserted + gone.updated + gone.unchanged + gone.carried_forward
            ),
            'start the erasure with the users that it began with.'
        );
        row_count := row_count + removed.row_count;

        ledger.suppressed := ledger.suppressed + gone.inserted + gone.updated + gone.unchanged;
        ledger.inserted := ledger.inserted - gone.inserted;
        ledger.updated := ledger.updated - gone.updated;
        ledger.unchanged := ledger.unchanged - gone.unchanged;
        if gone.is_recounted or least(ledger.inserted, ledger.updated, ledger.unchanged) < 0 then
            perform staging.assert_in_database(month, array[gone.table_name]);  -- the month before is read
            counts := staging.count_sealed(
                gone.table_name,
                month,
                (
                    select max(as_of) from public.deliveries
                    where table_name = gone.table_name and as_of < month
                ),
                ledger.not_delivered
            );
            ledger.inserted := counts.inserted;
            ledger.updated := counts.updated;
            ledger.unchanged := counts.delivered - counts.inserted - counts.updated;
        end if;
        insert into public.deliveries (
            as_of, table_name, revision, file_name, file_bytes, file_sha256, not_delivered,
            delivered, inserted, updated, unchanged, carried_forward, snapshot_rows, snapshot_checksum,
            warnings, profile, columns, checksum_version, run_id, package_version,
            approved_by, approved_at, approval_reason, kind, suppressed, erased
        )
        select
            month,
            gone.table_name,
            ledger.revision + 1,
            ledger.file_name,
            ledger.file_bytes,
            ledger.file_sha256,
            ledger.not_delivered,
            ledger.delivered,
            ledger.inserted,
            ledger.updated,
            ledger.unchanged,
            ledger.carried_forward - gone.carried_forward,
            ledger.snapshot_rows - removed.row_count,
            ledger.snapshot_checksum - removed.checksum,
            ledger.warnings,
            ledger.profile,
            ledger.columns,
            ledger.checksum_version,
            said.run_id,
            '{{ package_version }}',
            said.approved_by,
            said.approved_at,
            said.reason,
            'erasure',
            ledger.suppressed,
            removed.row_count
        where ledger.revision is not null;  -- its ledger rows may be gone: create_build.sql

        if month = (select max(as_of) from public.deliveries where table_name = gone.table_name) then
            -- conflicts with upsert's lock, and with no one else's
            execute format('lock table public.%I in row exclusive mode', gone.table_name);
            execute format('delete from public.%I where user_id = any($1)', gone.table_name) using users;
        end if;
        update public.erasure_months set erased_at = now()
        where erasure_id = erasure and as_of = month and table_name = gone.table_name;
        if gone.table_name = '{{ root.name }}' and gone.inserted + gone.updated + gone.unchanged > 0 then
            update public.training_sets set erased_at = now() where as_of = month and erased_at is null;
        end if;
    end loop;
    return row_count;
end
$$;

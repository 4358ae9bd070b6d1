-- Reading an archived file back: its rows come by COPY into a table of the owner's, and are compared with the ledger.
-- Only then does the file count as archived.

-- Creates the empty table for the rows of a file. It belongs to the transaction: no one else sees it.
create or replace function staging.create_read_back(month date, of_table text, to_attach boolean default false)
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    file text := staging.relation_name(of_table, month, 'file');
begin
    perform staging.assert_true(
        exists (select from public.deliveries where as_of = month and table_name = of_table),
        format('%s of %s is not sealed', of_table, month)
    );
    execute format('drop table if exists staging.%I', file);
    execute format(
        'create %s table staging.%I (like public.%I, as_of date not null default %L, source_as_of date not null)',
        case when to_attach then '' else 'unlogged' end, file, of_table, month
    );
    if to_regrole('streamflow_ingest') is not null then
        execute format('grant insert on staging.%I to streamflow_ingest', file);
    end if;
end
$$;

-- Stops unless the rows that were read back are those of a revision in the ledger; returns the revision.
create or replace function staging.assert_read_back(month date, of_table text, of_revision integer)
returns public.deliveries
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    sealed public.deliveries;
    found_rows record;
begin
    select * into sealed from public.deliveries
    where as_of = month and table_name = of_table and revision = of_revision;
    perform staging.assert_true(found, format('%s of %s has no revision %s', of_table, month, of_revision));
    select * into found_rows from staging.checksum_of(
        format('staging.%I', staging.relation_name(of_table, month, 'file'))::regclass, month, sealed.columns
    );
    perform staging.assert_true(
        (found_rows.snapshot_rows, found_rows.snapshot_checksum, found_rows.later_values)
        is not distinct from (sealed.snapshot_rows, sealed.snapshot_checksum, 0::bigint),
        format(
            E'the archived rows of %s of %s are not those of revision %s.\n'
            'Expected %s rows, checksum %s, as in the ledger.\nFound %s rows, checksum %s.',
            of_table, month, of_revision, sealed.snapshot_rows, sealed.snapshot_checksum,
            found_rows.snapshot_rows, coalesce(found_rows.snapshot_checksum::text, 'none: columns are gone')
        ),
        'make verify, which compares the snapshots and the archive with the ledger.'
    );
    return sealed;
end
$$;

-- Records that a file was read back with the rows of a revision. This is the only way to add a row to public.archives.
create or replace function staging.record_archive(
    month date, of_table text, of_revision integer, file text, bytes bigint, sha256 text, run text
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    sealed public.deliveries := staging.assert_read_back(month, of_table, of_revision);
begin
    execute format('drop table staging.%I', staging.relation_name(of_table, month, 'file'));
    insert into public.archives
    (
        as_of, table_name, revision, place, file_bytes, file_sha256, snapshot_rows, snapshot_checksum, columns,
        run_id, package_version
    )
    values
    (
        month, of_table, of_revision, file, bytes, sha256, sealed.snapshot_rows, sealed.snapshot_checksum,
        sealed.columns, run, '{{ package_version }}'
    );
end
$$;

-- Writes a revision of a month's table to the ledger. The facts about the file come from the staged file if it is the
-- run's own month, otherwise from the previous revision.
create or replace function staging.add_revision(
    month date, of_table text, counts staging.counts, run text, is_staged boolean, odd text[], approval jsonb
) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    with
    recorded as (
        select * from public.current_deliveries
        where as_of = month and table_name = of_table
    ),

    file as (
        select
            file_name,
            file_bytes,
            file_sha256,
            not_delivered,
            array(select distinct unnest(warnings || odd) order by 1) as warnings,
            profile,
            suppressed
        from staging.files
        where is_staged and as_of = month and table_name = of_table
        union all
        select file_name, file_bytes, file_sha256, not_delivered, warnings, profile, suppressed
        from recorded
        where not is_staged
    )

    insert into public.deliveries (
        as_of, table_name, revision, file_name, file_bytes, file_sha256, not_delivered,
        delivered, inserted, updated, unchanged, carried_forward, snapshot_rows, snapshot_checksum,
        warnings, profile, columns, run_id, package_version, approved_by, approved_at, approval_reason,
        kind, suppressed
    )
    select
        month,
        of_table,
        1 + coalesce((select revision from recorded), 0),
        file.file_name,
        file.file_bytes,
        file.file_sha256,
        file.not_delivered,
        counts.delivered + file.suppressed,
        counts.inserted,
        counts.updated,
        counts.delivered - counts.inserted - counts.updated,
        counts.carried_forward,
        counts.delivered + counts.carried_forward,
        counts.snapshot_checksum,
        file.warnings,
        file.profile,
        staging.columns_of(of_table),
        run,
        '{{ package_version }}',
        approval ->> 'by',
        (approval ->> 'at')::timestamptz,
        approval ->> 'why',
        case when exists (select from recorded) then 'restatement' else 'delivery' end,
        file.suppressed
    from file
$$;

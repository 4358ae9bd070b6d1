-- Attaches a build, or what was read back from the archive (`kind` file), as the month's partition. It has its key and
-- a check constraint, so nothing is scanned.
create or replace function staging.attach_build(month date, table_name text, kind text default 'build') returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    build text := staging.relation_name(table_name, month, kind);
    snapshots text := staging.snapshots_of(table_name);
    partition text := format('%s_%s', snapshots, to_char(month, 'YYYYMMDD'));
begin
    execute format('alter table staging.%I set schema public', build);
    execute format('alter table public.%I rename to %I', build, partition);
    execute format(
        'alter table public.%I rename constraint %I to %I', partition, build || '_pkey', partition || '_pkey'
    );
    execute format('alter table public.%I attach partition public.%I for values in (%L)', snapshots, partition, month);
    execute format('alter table public.%I drop constraint as_of, reset (autovacuum_enabled)', partition);
    if to_regrole('streamflow_ingest') is not null then
        execute format('revoke all on public.%I from streamflow_ingest', partition);
    end if;
end
$$;

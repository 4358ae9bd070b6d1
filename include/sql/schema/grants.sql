-- What the roles of roles.sql may do. Without them (the embedded PostgreSQL) there is nothing to grant.
--
-- takes:  the schema; a part of the block in schema.sql
-- leaves: streamflow_ingest fills staged tables, upserts live and calls seal_month, and can neither make nor drop a
--         table, nor write to snapshots and ledger; streamflow_reader only reads
revoke execute on all functions in schema staging from public;

if to_regrole('streamflow_ingest') is not null then
    -- what earlier versions granted, on partitions too
    revoke all on schema staging from streamflow_ingest;
    revoke all on all functions in schema staging from streamflow_ingest;
    for made in
        select pg_class.oid::regclass::text as name
        from pg_class
        where
            relnamespace in ('public'::regnamespace, 'staging'::regnamespace)
            and relkind in ('r', 'p', 'v')
            and relowner = current_user::regrole
    loop
        execute format('revoke all on %s from streamflow_ingest', made.name);
    end loop;

    grant usage on schema staging to streamflow_ingest;
    grant select, insert, update, delete on staging.runs, staging.files, staging.live_claims to streamflow_ingest;
    grant insert on staging.publish_lock to streamflow_ingest;  -- so that it may share the lock, and not keep it
    grant select on staging.own_claims to streamflow_ingest;
    grant select on public.deliveries, public.current_deliveries, public.sealed_months to streamflow_ingest;
    {%- for table in tables.values() %}
    grant select, insert, update, delete on public.{{ table.name }} to streamflow_ingest;
    grant select on public.{{ table.snapshots }} to streamflow_ingest;
    {%- endfor %}
    grant execute on function
        staging.require(boolean, text, text),
        staging.require_run(date, text),
        staging.staged_name(text, date),
        staging.assert_staged(text, text),
        staging.lock_staged(date),
        staging.create_staging_table(date, text, text),
        staging.mirror_header(text, text, text[], text[]),
        staging.is_date(text),
        staging.read_dates(text, text),
        staging.analyze_staged(text, text),
        staging.release(date, text),
        staging.seal_month(date, text, boolean)
    to streamflow_ingest;
end if;

if to_regrole('streamflow_reader') is not null then
    grant select on public.deliveries, public.current_deliveries, public.sealed_months to streamflow_reader;
    {%- for table in tables.values() %}
    grant select on public.{{ table.name }}, public.{{ table.snapshots }} to streamflow_reader;
    {%- endfor %}
end if;

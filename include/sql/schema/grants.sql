-- Grants the rights of the roles in roles.sql. Without these roles (the embedded PostgreSQL) it grants nothing.
--
-- takes:  the schema; a part of the block in schema.sql
-- leaves: streamflow_ingest can fill staging tables and builds, upsert live, and call seal_month, but cannot create or
--         drop a table, or write to snapshots and ledger; streamflow_reader can only read
revoke execute on all functions in schema staging from public;

do $grants$
declare
    made record;
    role_name text;
begin
    if to_regrole('streamflow_ingest') is not null then
        -- revoke what earlier versions granted, including on partitions
        revoke all on schema staging from streamflow_ingest;
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
        grant select, insert, update on staging.runs, staging.files to streamflow_ingest;
        -- the time is the server's, and what was logged stays
        grant select, insert (
            as_of, table_name, run_id, file_name, file_bytes, file_sha256, delivered, is_passed, facts, result,
            delivered_values
        ) on public.validations to streamflow_ingest;
        grant select, insert (as_of, run_id, builds, reason, details, cells) on public.questions to streamflow_ingest;
        grant select on
            staging.builds, public.deliveries, public.current_deliveries, public.sealed_months,
            public.training_sets, public.training_sets_status,
            public.archives, public.current_archives, public.archived_snapshots,
            public.erasures, public.erasure_months
        to streamflow_ingest;
        {%- for table in tables.values() %}
        grant select, insert, update, delete on public.{{ table.name }} to streamflow_ingest;
        grant select on public.{{ table.snapshots }} to streamflow_ingest;
        {%- endfor %}
        grant execute on function
            staging.tables(),
            staging.columns(),
            staging.columns_of(text),
            staging.snapshots_of(text),
            staging.checksum_of(regclass, date, text[]),
            staging.assert_true(boolean, text, text),
            staging.assert_in_database(date, text[]),
            staging.assert_run_owns_month(date, text),
            staging.claim_month(date, text, text),
            staging.create_staging_table(date, text, text),
            staging.shape_staging_table(date, text, text[], text[]),
            staging.is_date(text),
            staging.cast_dates(date, text),
            staging.analyze_staged(date, text),
            staging.create_build(date, text, text, boolean),
            staging.months_to_compare(date, text),
            staging.finish_build(date, text, text),
            staging.assert_built(date, text),
            staging.builds_of(date),
            staging.asks_of(date),
            staging.seal_month(date, text, boolean, jsonb),
            staging.create_read_back(date, text, boolean),
            staging.record_archive(date, text, integer, text, bigint, text, text),
            staging.drop_archived_month(date, text, integer),
            staging.restore_month(date),
            {%- if label %}
            staging.record_training_set(date, integer, text[], text, text, text),
            {%- endif %}
            staging.lift_keys(text),
            staging.set_key(text),
            staging.drop_month(date, text),
            staging.erasures_known(),
            staging.assert_no_erasure_since(date, text),
            staging.suppress(date, text, text[]),
            staging.count_erased(text[]),
            staging.record_erasure(text[], bytea[], text[], text, jsonb, text),
            staging.erase_month(uuid, date, text[]),
            staging.analyze_erased(text[]),
            staging.finish_erasure(uuid, text[], text[]),
            staging.readmit(bytea[], text, text, text),
            staging.forget_archive(date, text, integer)
        to streamflow_ingest;
    end if;

    if to_regrole('streamflow_reader') is not null then
        grant select on
            public.deliveries, public.current_deliveries, public.sealed_months, public.validations, public.questions,
            public.training_sets, public.training_sets_status,
            public.archives, public.current_archives, public.archived_snapshots
        to streamflow_reader;
        {%- for table in tables.values() %}
        grant select on public.{{ table.name }}, public.{{ table.snapshots }} to streamflow_reader;
        {%- endfor %}
    end if;
    {%- if label %}

    if obj_description(to_regnamespace('training')) = '{{ training_comment }}' then
        for role_name in
            select rolname from pg_roles where rolname in ('streamflow_ingest', 'streamflow_reader')
        loop
            execute format('grant usage on schema training to %I', role_name);
            execute format('grant select on training.labels to %I', role_name);
        end loop;
    end if;
    {%- endif %}
end
$grants$;

-- What the roles of roles.sql may do. Without them (the embedded PostgreSQL) there is nothing to grant.
--
-- takes:  the schema; a part of the block in schema.sql
-- leaves: streamflow_ingest stages, upserts and seals, and can neither make nor drop anything outside staging;
--         streamflow_reader only reads
if to_regrole('streamflow_ingest') is not null then
    grant usage, create on schema staging to streamflow_ingest;
    grant select, insert, update, delete on staging.runs, staging.files, staging.live_claims to streamflow_ingest;
    grant select, insert on public.deliveries to streamflow_ingest;
    grant select on staging.own_claims, public.current_deliveries, public.sealed_months to streamflow_ingest;
    {%- for table in tables.values() %}
    grant select, insert, update, delete on public.{{ table.name }}, public.{{ table.snapshots }} to streamflow_ingest;
    {%- endfor %}
    revoke execute on all functions in schema staging from public;
    grant execute on all functions in schema staging to streamflow_ingest;
end if;

if to_regrole('streamflow_reader') is not null then
    grant select on public.deliveries, public.current_deliveries, public.sealed_months to streamflow_reader;
    {%- for table in tables.values() %}
    grant select on public.{{ table.name }}, public.{{ table.snapshots }} to streamflow_reader;
    {%- endfor %}
end if;

-- The whole schema, in the order in which its parts need each other. A database that has this very version is left
-- alone, so that the DAG's own user need not be allowed to change it.
--
-- takes:  an empty database, or one that has the schema already; for changes, a user that owns it
-- leaves: live, snapshots, ledger and staging, and on the schema staging a comment that says which version
{%- set parts %}
{% include 'schema/live.sql' %}
{% include 'schema/snapshots.sql' %}
{% include 'schema/ledger.sql' %}
{% include 'schema/staging.sql' %}
{% include 'schema/reading.sql' %}
{% include 'schema/grants.sql' %}
{% endset %}
do $schema$
declare
    -- roles that are new need their grants
    version text := '{{ parts | sha256 }}'
        || case when to_regrole('streamflow_ingest') is null then '' else ', with roles' end;
begin
    if obj_description(to_regnamespace('staging')) = version then
        return;
    end if;
    set local lock_timeout = '1min';  -- rather try again than stand in every reader's way behind a long one
    perform pg_advisory_xact_lock(hashtext('streamflow'));
    if to_regnamespace('staging') is null then
        create schema staging;
    end if;
{{ parts }}
    execute format('comment on schema staging is %L', version);
exception
    when insufficient_privilege then
        raise insufficient_privilege using message = format(
            'the database %s has not the schema that this version of the package needs, and %s may not change it '
            '(%s). Install it as its owner: make schema (README, Deployment)',
            current_database(), current_user, sqlerrm
        );
end
$schema$;

-- Installs the whole schema, in the order in which its parts depend on each other. A database that has this version is
-- left alone, so that the DAG's user does not need the right to change it.
--
-- takes:  an empty database, or one that has the schema already; for changes, a user that owns it
-- leaves: live, snapshots, ledger, and staging, and the version as a comment on the schema staging
{%- set parts %}
{% include 'schema/clear_staging.sql' %}
{% include 'schema/assert_true.sql' %}
{% include 'schema/tables.sql' %}
{% include 'schema/live_keys.sql' %}
{% include 'schema/migrations.sql' %}
{% include 'schema/ledger.sql' %}
{% include 'schema/validations.sql' %}
{% include 'schema/questions.sql' %}
{% include 'schema/archives.sql' %}
{% include 'schema/assert_same_tables.sql' %}
{% include 'schema/add_columns.sql' %}
perform staging.assert_same_tables();
{% include 'schema/live_and_snapshots.sql' %}
perform staging.add_columns();
{% include 'schema/staging.sql' %}
{% include 'schema/assert_run_owns_month.sql' %}
{% include 'schema/relation_name.sql' %}
{% include 'schema/assert_in_database.sql' %}
{% include 'schema/erasures.sql' %}
{% include 'schema/suppress.sql' %}
{% include 'schema/claim_month.sql' %}
{% include 'schema/create_staging_table.sql' %}
{% include 'schema/shape_staging_table.sql' %}
{% include 'schema/cast_dates.sql' %}
{% include 'schema/analyze_staged.sql' %}
{% include 'schema/create_build.sql' %}
{% include 'schema/checksum_of.sql' %}
{% include 'schema/count_snapshot.sql' %}
{% include 'schema/finish_build.sql' %}
{% include 'schema/assert_built.sql' %}
{% include 'schema/apply_changes.sql' %}
{% include 'schema/later_months.sql' %}
{% include 'schema/attach_build.sql' %}
{% include 'schema/add_revision.sql' %}
{% include 'schema/seal_month.sql' %}
{% include 'schema/read_back.sql' %}
{% include 'schema/drop_archived_month.sql' %}
{% include 'schema/restore_month.sql' %}
{% include 'schema/drop_month.sql' %}
{% include 'schema/reading.sql' %}
{% include 'schema/training_set.sql' %}
{% include 'schema/training_labels.sql' %}
{% include 'schema/training_sets.sql' %}
{% include 'schema/count_erased.sql' %}
{% include 'schema/record_erasure.sql' %}
{% include 'schema/erase_month.sql' %}
{% include 'schema/analyze_erased.sql' %}
{% include 'schema/finish_erasure.sql' %}
{% include 'schema/readmit.sql' %}
{% include 'schema/forget_archive.sql' %}
{% include 'schema/grants.sql' %}
{% endset %}
do $schema$
declare
    -- installed again when the roles are new, because they need their grants
    version text := '{{ parts | version_of }}'
        || case when to_regrole('streamflow_ingest') is null then '' else ', with roles' end;
begin
    {% include 'schema/server.sql' %}

    if obj_description(to_regnamespace('staging')) = version then
        return;
    end if;
    set local lock_timeout = '1min';  -- rather fail and retry than block every reader behind a long query
    if to_regnamespace('staging') is null then
        perform pg_advisory_xact_lock(hashtext('streamflow'));  -- only in a new database, which has no readers yet
        create schema if not exists staging;
    end if;
    -- only the pipeline's own roles can hold this lock: readers can delay nothing but new columns
    create table if not exists staging.publish_lock ();
    lock table staging.publish_lock in exclusive mode;
    if obj_description(to_regnamespace('staging')) = version then
        return;  -- another run has installed it in the meantime
    end if;
{{ parts }}
    execute format('comment on schema staging is %L', version);
exception
    when insufficient_privilege then
        raise exception using
            message = format(
                E'the database %s does not have the schema that this version of the package needs.\n'
                'The user %s has no right to change it (%s).',
                current_database(), current_user, sqlerrm
            ),
            hint = 'install it as its owner (make schema; see docs/deployment.md), then {{ run_again }}.';
end
$schema$;

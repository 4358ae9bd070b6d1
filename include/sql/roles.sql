-- Creates the three roles of the data's database. For a deployment: `make schema` runs it before the schema.
--
-- takes:  the database for the data, and a user that may create roles
-- leaves: streamflow_owner, who owns everything and cannot log in; streamflow_ingest, which the DAG connects as;
--         streamflow_reader, who can select from live, snapshots, and the ledger. None of them has a password: set
--         them with psql's \password. schema/grants.sql has the rights of the last two.
{% include 'schema/server.sql' %}

do $$
declare
    role_name text;
begin
    foreach role_name in array array['streamflow_owner', 'streamflow_ingest', 'streamflow_reader'] loop
        if to_regrole(role_name) is null then
            execute format(
                'create role %I %s', role_name, case when role_name like '%owner' then 'nologin' else 'login' end
            );
        end if;
    end loop;
    execute format('grant streamflow_owner to %I', current_user);

    -- the database is only for the data: no one else may connect, not even Airflow's own user
    execute format('revoke all on database %I from public', current_database());
    execute format('grant connect on database %I to streamflow_reader', current_database());
    execute format(
        'grant connect, temporary on database %I to streamflow_owner, streamflow_ingest', current_database()
    );
    -- tools compare as_of, a date, with times in the session's zone: west of UTC they would miss that day's snapshot
    foreach role_name in array array['streamflow_ingest', 'streamflow_reader'] loop
        if not exists (
            select from pg_db_role_setting
            inner join pg_database on pg_database.oid = setdatabase
            where datname = current_database() and setrole = to_regrole(role_name) and 'TimeZone=UTC' = any(setconfig)
        ) then
            begin
                execute format('alter role %I in database %I set timezone to %L', role_name, current_database(), 'UTC');
            exception when insufficient_privilege then
                raise warning 'the time zone of % is not set to UTC: % may not change this role', role_name, current_user
                using hint = format(
                    'as a user who may: alter role %I in database %I set timezone to %L',
                    role_name, current_database(), 'UTC'
                );
            end;
        end if;
    end loop;

    -- a schema of this name that has another comment is someone else's
    if to_regnamespace('training') is null then
        create schema training authorization streamflow_owner;
        comment on schema training is '{{ training_comment }}';
    elsif obj_description(to_regnamespace('training')) = '{{ training_comment }}' then
        alter schema training owner to streamflow_owner;
    end if;
end
$$;

revoke all on schema public from public;
grant usage, create on schema public to streamflow_owner;
grant usage on schema public to streamflow_ingest, streamflow_reader;

create schema if not exists staging authorization streamflow_owner;
alter schema staging owner to streamflow_owner;

-- Takes over what an earlier version created as the user that ran it. The schema drops what streamflow_ingest created,
-- except a relation with the name of its lock: that one is dropped here.
do $$
declare
    made record;
begin
    for made in
        select case relkind when 'v' then 'view' else 'table' end as kind
        from pg_class
        where oid = to_regclass('staging.publish_lock') and relowner = 'streamflow_ingest'::regrole
    loop
        execute format('drop %s staging.publish_lock cascade', made.kind);
    end loop;
    for made in
        select
            format('%I.%I', nspname, relname) as name
        from pg_class
        inner join pg_namespace on pg_namespace.oid = relnamespace
        left join pg_inherits on inhrelid = pg_class.oid
        where
            relkind in ('r', 'p', 'v')
            and (
                nspname = 'staging' and relname !~ '_\d{8}$'  -- staging tables are dropped, not taken over
                or nspname = 'public'
                and coalesce(inhparent::regclass, pg_class.oid::regclass) in (
                    {%- for table in tables.values() %}
                    to_regclass('public.{{ table.name }}'), to_regclass('public.{{ table.snapshots }}'),
                    {%- endfor %}
                    to_regclass('public.schema_migrations'), to_regclass('public.deliveries'),
                    to_regclass('public.validations'), to_regclass('public.questions'),
                    to_regclass('public.current_deliveries'), to_regclass('public.sealed_months'),
                    to_regclass('public.training_sets'), to_regclass('public.training_sets_status'),
                    to_regclass('public.archives'), to_regclass('public.current_archives'),
                    to_regclass('public.archived_snapshots'),
                    to_regclass('public.erasures'), to_regclass('public.erasure_months')
                )
                or pg_class.oid = to_regclass('training.labels')
                and obj_description(relnamespace) = '{{ training_comment }}'
            )
            and relowner not in ('streamflow_owner'::regrole, 'streamflow_ingest'::regrole)
    loop
        execute format('alter table %s owner to streamflow_owner', made.name);
    end loop;
    for made in
        select oid::regprocedure as name
        from pg_proc
        where
            (
                pronamespace = 'staging'::regnamespace
                or oid in (
                    {%- for table in tables.values() %}
                    to_regprocedure('public.{{ table.name }}_as_of(date)'),
                    {%- endfor %}
                    to_regprocedure('public.user_history(text)'),
                    to_regprocedure('public.training_label_month(date, integer)'),
                    to_regprocedure('public.training_set(date, integer)'),
                    to_regprocedure('public.training_set_counts(date, integer)')
                )
            )
            and proowner not in ('streamflow_owner'::regrole, 'streamflow_ingest'::regrole)
    loop
        execute format('alter routine %s owner to streamflow_owner', made.name);
    end loop;
end
$$;

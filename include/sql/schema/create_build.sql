-- Creates the empty tables of a build, and records what it is based on. The caller fills them.
create or replace function staging.create_build(month date, table_name text, run text, restate boolean) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    build text := staging.relation_name(table_name, month, 'build');
    changes text := staging.relation_name(table_name, month, 'changes');
    snapshots text := staging.snapshots_of(table_name);
    plan staging.builds;
begin
    -- table names contain only the day's digits, so a date in another era would have the same names
    perform staging.assert_true(
        extract(year from month) between 1 and 9999 and extract(day from month + 1) = 1,
        format('%s is not the last day of a month', month)
    );
    -- one at a time, and no one can stage the file again in the meantime
    perform from staging.files as file
    where file.as_of = month and file.table_name = create_build.table_name
    for update;
    perform staging.assert_run_owns_month(month, run);
    perform staging.assert_no_erasure_since(month, table_name);
    with
    sealed as (
        select * from public.current_deliveries
        where current_deliveries.table_name = create_build.table_name
    )

    select
        file.as_of,
        file.table_name,
        run as run_id,
        gen_random_uuid() as build_id,
        file.file_sha256,
        file.not_delivered,
        (select count(*) from public.deliveries) as base,
        (select max(as_of) from sealed where as_of < month) as previous,
        exists (
            select from sealed where as_of = month
            union all
            -- a partition whose ledger rows are gone counts too, so that it can be restated
            select from pg_inherits
            where
                inhparent = to_regclass(format('public.%I', snapshots))
                and inhrelid = to_regclass(format('public.%I', snapshots || to_char(month, '_YYYYMMDD')))
        ) as is_sealed,
        restate or not exists (
            select from sealed where (sealed.as_of, sealed.file_sha256) = (month, file.file_sha256)
        ) as is_built
    into plan
    from staging.files as file
    where file.as_of = month and file.table_name = create_build.table_name and file.is_validated;
    perform staging.assert_true(found, format('%s of %s is not staged and validated', table_name, month));
    if plan.is_built then
        -- until the caller has read them, no snapshot can be dropped
        execute format('lock table only public.%I in access share mode', snapshots);
        perform staging.assert_in_database(month, array[table_name]);
    end if;

    delete from staging.builds as old where old.as_of = month and old.table_name = create_build.table_name;
    execute format('drop table if exists staging.%I, staging.%I', build, changes);
    -- columns in live's order: in the snapshots, columns that came later follow as_of and source_as_of
    -- attaching it would wait a second until autovacuum is cancelled: it may begin when the table is a partition
    execute format(
        'create table staging.%I (like public.%I, as_of date not null, source_as_of date not null)
        with (autovacuum_enabled = false)', build, table_name
    );
    execute format(
        'create unlogged table staging.%I (
            like staging.%I, what text not null check (what in (''added'', ''changed'', ''removed''))
        )', changes, build
    );
    if to_regrole('streamflow_ingest') is not null then
        execute format('grant select, insert on staging.%I, staging.%I to streamflow_ingest', build, changes);
    end if;
    insert into staging.builds select plan.*;
end
$$;

-- The months that a build is compared with, in order: the month itself and the sealed ones after it. There are no rows
-- if no sealed month could change.
create or replace function staging.months_to_compare(month date, of_table text)
returns table (as_of date, is_sealed boolean, not_delivered text[])
language sql stable as $$
    with
    build as (
        select * from staging.builds
        where builds.as_of = month and builds.table_name = of_table and builds.is_built
    ),

    later as (
        select * from public.current_deliveries
        where current_deliveries.as_of > month and current_deliveries.table_name = of_table
    )

    select build.as_of, build.is_sealed, build.not_delivered
    from build
    where build.is_sealed or exists (select from later)
    union all
    select later.as_of, true, later.not_delivered
    from later
    cross join build
    order by 1
$$;

-- The ids of a month's builds. The text changes whenever a table is built again.
create or replace function staging.builds_of(month date) returns text
language sql stable parallel safe as $$
    select string_agg(build_id::text, ' ' order by table_name) from staging.builds where as_of = month
$$;

-- The broken rules of a month's new files that a person decides about, one sentence each.
create or replace function staging.asks_of(month date) returns text[]
language sql stable as $$
    select coalesce(array_agg(table_name || ': ' || broken order by table_name, broken), '{}')
    from staging.builds
    inner join staging.files using (as_of, table_name)
    cross join unnest(asks) as broken
    where as_of = month and is_built
$$;

-- Stops a run unless all its tables are validated and built from the staged files, and the sealed snapshots that they
-- are built from, or may change, are in the database.
create or replace function staging.assert_built(month date, run text) returns void
language plpgsql stable as $$
declare
    ready bigint;
    delivered bigint;
begin
    perform staging.assert_run_owns_month(month, run);
    perform staging.assert_no_erasure_since(month);
    select
        count(*),
        count(*) filter (
            where file.is_validated and build.run_id = run
            and ((build.counts).delivered is not null or not build.is_built)
        )
    into delivered, ready
    from (select table_name from staging.tables() where since is null or since <= month) as told
    full join (select * from staging.builds where as_of = month) as build using (table_name)
    left join staging.files as file
        on
            told.table_name = file.table_name
            and (file.as_of, file.table_name, file.file_sha256, file.not_delivered)
            = (build.as_of, build.table_name, build.file_sha256, build.not_delivered);
    perform staging.assert_true(
        ready = delivered,
        format('only %s of %s tables of %s are staged, validated, and built', ready, delivered, month)
    );
    perform staging.assert_in_database(
        month, array(select table_name from staging.builds where as_of = month and is_built)
    );
end
$$;

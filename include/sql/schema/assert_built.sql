-- Which builds a month has: another text whenever a table is built again.
create or replace function staging.builds_of(month date) returns text
language sql stable as $$
    select string_agg(build_id::text, ' ' order by table_name) from staging.builds where as_of = month
$$;

-- Stops a run unless all its tables are validated and built, from the files that are staged.
create or replace function staging.assert_built(month date, run text) returns void
language plpgsql stable as $$
declare
    ready bigint;
    delivered bigint := (select count(*) from staging.tables() where since is null or since <= month);
begin
    perform staging.assert_run_owns_month(month, run);
    select count(*) into ready
    from staging.files as file
    inner join staging.builds as build using (as_of, table_name, file_sha256, not_delivered)
    where
        file.as_of = month
        and file.is_validated
        and build.run_id = run
        and ((build.counts).delivered is not null or not build.is_built);
    perform staging.assert_true(
        ready = delivered,
        format('only %s of %s tables of %s are staged, validated and built', ready, delivered, month)
    );
end
$$;

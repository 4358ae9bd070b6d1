-- Records that an archived file was deleted because it had rows of erased users. Only during an erasure, and never the
-- file of a newest revision: that one was written without them.
create or replace function staging.forget_archive(month date, of_table text, of_revision integer) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform staging.assert_true(
        exists (select from public.erasures where completed_at is null)
        and of_revision < (
            select max(revision) from public.deliveries where as_of = month and table_name = of_table
        ),
        format('the archived revision %s of %s of %s is not replaced by an erasure', of_revision, of_table, month)
    );
    update public.archives set erased_at = now()
    where as_of = month and table_name = of_table and revision = of_revision and erased_at is null;
end
$$;

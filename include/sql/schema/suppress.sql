-- Removes the rows of erased users from a staged table before anything looks at it, and records how many there were.
--
-- takes:  a loaded and recorded file; those of its users who are erased
-- leaves: the staged table without them; their number in staging.files, with a warning for the ledger
create or replace function staging.suppress(month date, of_table text, users text[]) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    row_count bigint;
begin
    execute format('delete from staging.%I where user_id = any($1)', staging.relation_name(of_table, month))
    using users;
    get diagnostics row_count = row_count;
    update staging.files as file set
        suppressed = row_count,
        warnings = array[
            row_count || case when row_count = 1 then ' row of an erased user was' else ' rows of erased users were' end
            || ' left out'
        ]
    where file.as_of = month and file.table_name = of_table and row_count > 0;
    return row_count;
end
$$;

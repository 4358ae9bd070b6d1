-- Stops a run that would be computed from a snapshot that is only in the archive, or that would change one. A month
-- follows from the one before it, and its changes can reach all later ones.
create or replace function staging.assert_in_database(month date, of_tables text[]) returns void
language plpgsql stable as $$
declare
    needed date[];
begin
    select array_agg(distinct archived.as_of order by archived.as_of) into needed
    from public.archived_snapshots as archived
    where
        archived.table_name in (
            select unnest(of_tables)
            union
            select refers_to from staging.tables() where table_name = any(of_tables)  -- whose users they need
        )
        and archived.as_of >= (
            select coalesce(max(earlier.as_of), month) from public.deliveries as earlier
            where earlier.table_name = archived.table_name and earlier.as_of < month
        );
    if needed is not null then
        perform staging.assert_true(
            false,
            format(
                E'%s needs sealed snapshots that are only in the archive: those of %s.\n'
                'It is computed from the sealed month before it, and may change it and those after it.\n'
                'Nothing was written.',
                month, array_to_string(needed, ', ')
            ),
            format(
                'make restore MONTH=%s, then {{ run_again }}.', array_to_string(needed, ', make restore MONTH=')
            )
        );
    end if;
end
$$;

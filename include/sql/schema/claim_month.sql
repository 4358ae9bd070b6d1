-- Claims a month for a run. Stops if its folder is not the one that the ledger expects: a folder's number and month
-- determine the first month, which must be the same for all sealed months.
--
-- The naming pattern of folders is a setting that the database does not know, and that may change. So it compares only
-- names that are the same except for their number (three or more digits). Names with a month (2024-01) have no number.
create or replace function staging.claim_month(month date, run text, folder text) returns void
language plpgsql as $$
declare
    number constant text := '[0-9]{3,4}';
    name_of_month constant text := '[0-9]{4}-[0-9]{2}';
    known record;
    first_month text := to_char(month - make_interval(months => substring(folder from number)::integer), 'YYYY-MM');
begin
    select
        as_of,
        sealed_folder as folder,
        to_char(as_of - make_interval(months => substring(sealed_folder from number)::integer), 'YYYY-MM')
            as first_month
    into known
    from public.current_deliveries
    cross join split_part(file_name, '/', 1) as sealed_folder
    where
        sealed_folder ~ number
        and sealed_folder !~ name_of_month
        and folder !~ name_of_month
        and regexp_replace(sealed_folder, number, '') = regexp_replace(folder, number, '')
    order by as_of desc
    limit 1;
    if found then
        perform staging.assert_true(
            known.first_month = first_month,
            format(
                E'%s: its folder would be %s, because streamflow_first_month is %s.\n'
                'Expected %s: in the ledger, %s is sealed as %s.',
                month, folder, first_month, known.first_month, known.folder, known.as_of
            ),
            format('set the Airflow variable streamflow_first_month to %s, then {{ run_again }}.', known.first_month)
        );
    end if;
    -- a late month certainly needs the sealed months beside it; a sealed one may turn out to be unchanged
    if not exists (select from public.deliveries where as_of = month) then
        perform staging.assert_in_database(month, array(select table_name from staging.tables()));
    end if;
    insert into staging.runs as claim (as_of, run_id) values (month, run)
    on conflict (as_of) do update
    set run_id = excluded.run_id, claimed_at = now(), unfinished_runs = claim.unfinished_runs || claim.run_id;
end
$$;

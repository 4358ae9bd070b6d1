-- Stops a run whose month another one has claimed.
create or replace function staging.assert_run_owns_month(month date, run text) returns void
language sql as $$
    select staging.assert_true(
        found.run_id is not distinct from run,
        coalesce(
            'run ' || found.run_id || ' has taken over the month ' || month || E',\nas it was started after this one ('
            || run || E').\nNothing more is written here.',
            'nothing is staged for ' || month || ' any more'
        ),
        case when found.run_id is not null then 'let that run finish, or ' else '' end || '{{ run_again }}.'
    )
    from (values (month)) as asked (as_of)
    left join staging.runs as found using (as_of);
$$;

-- Stops a run if another run has claimed its month.
create or replace function staging.assert_run_owns_month(month date, run text) returns void
language sql as $$
    select staging.assert_true(
        found.run_id is not distinct from run,
        coalesce(
            'run ' || found.run_id || ' has taken over the month ' || month
            || E',\nbecause it was started after this one (' || run || E').\nThis run writes nothing more.',
            'nothing is staged for ' || month || ' any more'
        ),
        case when found.run_id is not null then 'wait for that run to finish, or ' else '' end || '{{ run_again }}.'
    )
    from (values (month)) as asked (as_of)
    left join staging.runs as found using (as_of);
$$;

-- The sealed months that must be counted again when an earlier one is sealed: those in its list of changes, and the one
-- after each. Only rows of listed users can have changed there. So only they are counted, and a restatement costs what
-- it changes. All rows are counted
-- - in the month after a late one, whose list is not checked against what the late month delivers;
-- - if the ledger's checksum does not cover the current columns;
-- - if the month before was sealed after this one, so that the ledger's counts are of another time, or if they do not
--   fit the rows.
--
-- takes:  the list of changes, not yet applied, and whether the month was sealed before
-- leaves: a row per month, oldest first; `others` is what the ledger says without the listed users
create type staging.later_month as (
    as_of date,
    previous date,
    all_are_counted boolean,
    others staging.counts
);

create or replace function staging.later_months(month date, of_table text, is_sealed boolean)
returns setof staging.later_month
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    changes text := staging.relation_name(of_table, month, 'changes');
    changed date[];
    later record;
    listed staging.counts;
    others staging.counts;
    nothing constant staging.counts := (0, 0, 0, 0, 0, true);
begin
    execute format('select array_agg(distinct as_of) from staging.%I', changes) into changed;
    for later in
        select *
        from (
            select
                *,
                lag(as_of) over (order by as_of) as previous,
                lag(sealed_at) over (order by as_of) as previous_sealed_at
            from (
                select as_of from public.deliveries where table_name = of_table
                union
                select month
            ) as months
            left join (
                select * from public.current_deliveries where table_name = of_table
            ) as sealed using (as_of)
        ) as in_order
        where as_of > month and (as_of = any(changed) or previous = any(changed) or previous = month and not is_sealed)
        order by as_of
    loop
        others := nothing;
        -- the month before has no row in the ledger if it is late
        if later.previous_sealed_at <= later.sealed_at and later.columns = staging.columns_of(of_table) then
            listed := staging.count_sealed(of_table, later.as_of, later.previous, later.not_delivered, changes);
            others := (
                later.delivered - later.suppressed - listed.delivered,
                later.inserted - listed.inserted,
                later.updated - listed.updated,
                later.carried_forward - listed.carried_forward,
                later.snapshot_checksum - listed.snapshot_checksum,
                true
            );
            if least(
                others.inserted, others.updated, others.delivered - others.inserted - others.updated,
                others.carried_forward
            ) < 0 then
                others := nothing;
            end if;
        end if;
        return next (later.as_of, later.previous, others = nothing, others);
    end loop;
end
$$;

-- Counts one of these months after the changes: the listed users as they are now, the others as in the ledger.
create or replace function staging.count_later(later staging.later_month, of_table text, month date)
returns staging.counts
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    others staging.counts := later.others;
    counts staging.counts := staging.count_sealed(
        of_table,
        later.as_of,
        later.previous,
        (select not_delivered from public.current_deliveries where (as_of, table_name) = (later.as_of, of_table)),
        case when not later.all_are_counted then staging.relation_name(of_table, month, 'changes') end
    );
begin
    return (
        others.delivered + counts.delivered,
        others.inserted + counts.inserted,
        others.updated + counts.updated,
        others.carried_forward + counts.carried_forward,
        others.snapshot_checksum + counts.snapshot_checksum,
        counts.is_state
    );
end
$$;

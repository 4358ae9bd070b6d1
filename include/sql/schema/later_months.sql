-- The later months that sealing a month touches: those in its list of changes, and the one after each. Only rows of
-- listed users can change there. So only they are counted, before and after, and a restatement costs what it changes.
--
-- takes:  the list of changes, not yet applied, and whether the month was sealed before
-- leaves: a row per month, oldest first: the month before it; `others`, what the ledger says of the users who are not
--         listed; and `all_are_counted` where the ledger cannot say that. Then `others` is 0, and all rows are counted
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
    all_are_counted boolean;
    -- whether the listed rows are those that the ledger has counted
    is_as_sealed boolean := true;
begin
    execute format('select array_agg(distinct as_of) from staging.%I', changes) into changed;
    if is_sealed and changed is not null then
        is_as_sealed := coalesce(
            (
                select found.snapshot_checksum = sealed.snapshot_checksum
                from public.current_deliveries as sealed
                cross join lateral staging.checksum_of(
                    format('public.%I', staging.snapshots_of(of_table))::regclass, month, sealed.columns
                ) as found
                where sealed.as_of = month and sealed.table_name = of_table
            ), false
        );
    end if;
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
        others := (0, 0, 0, 0, 0, true);
        -- the list of a late month is not checked against what the month delivers
        all_are_counted := later.previous = month and not is_sealed;
        if later.as_of = any(changed) and not all_are_counted then
            listed := staging.count_sealed(of_table, later.as_of, later.previous, later.not_delivered, changes);
            is_as_sealed := is_as_sealed and listed.is_state;
            if
                is_as_sealed
                and later.columns = staging.columns_of(of_table)
                and later.previous_sealed_at <= later.sealed_at  -- otherwise it was counted with another month before
            then
                others := (
                    later.delivered - later.suppressed - listed.delivered,
                    later.inserted - listed.inserted,
                    later.updated - listed.updated,
                    later.carried_forward - listed.carried_forward,
                    later.snapshot_checksum - listed.snapshot_checksum,
                    true
                );
            else
                all_are_counted := true;
            end if;
        end if;
        return next (later.as_of, later.previous, all_are_counted, others);
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

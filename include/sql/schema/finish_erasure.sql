-- Whether a text has one of some terms in it.
create or replace function staging.quotes(content text, terms text[]) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select exists (select from unnest(terms) as term where strpos(content, term) > 0)
$$;

-- A list of texts in which each one that has a term in it is replaced.
create or replace function staging.redacted(texts text[], terms text[]) returns text[]
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select array(
        select case when staging.quotes(one, terms) then 'removed, because it named an erased user' else one end
        from unnest(texts) with ordinality as listed (one, place)
        order by place
    )
$$;

-- Ends an erasure: removes what is left of its users in live, in staging, and in the logs. Everything in staging goes,
-- as a file that was loaded before may have their rows; the runs of these months stop, and have to be run again.
--
-- takes:  an erasure whose months are all erased; its users, and the terms by which the logs may name them
-- leaves: no row of theirs; returns the validations that named them, whose logs and XComs do so too
create or replace function staging.finish_erasure(erasure uuid, users text[], terms text[])
returns table (run_id text, table_name text)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    name text;
    names text[];
begin
    lock table staging.publish_lock in exclusive mode;
    perform staging.assert_true(
        exists (select from public.erasures where erasure_id = erasure and completed_at is null)
        and not exists (select from public.erasure_months where erasure_id = erasure and erased_at is null)
        and not exists (select from staging.count_erased(users)),
        'the erasure is not under way, or sealed months still have its users', 'start it again.'
    );
    for name in select tables.table_name from staging.tables() order by place loop
        execute format('lock table public.%I in row exclusive mode', name);
        execute format('delete from public.%I where user_id = any($1)', name) using users;
    end loop;

    -- by their names: after a crash of the server, no record of staging is left, but the builds are
    -- until none is left: a build under way holds a lock on its staged table, and is seen only after that one is gone
    loop
        names := array(
            select relname from pg_class
            where
                relnamespace = 'staging'::regnamespace and relkind = 'r'
                and relname not in ('publish_lock', 'runs', 'files', 'builds')
            order by relname
        );
        exit when names = '{}';
        foreach name in array names loop
            execute format('drop table if exists staging.%I', name);
        end loop;
    end loop;
    delete from staging.builds;
    update staging.files set is_validated = false, warnings = '{}', asks = '{}', erasures = -1;

    update public.deliveries set warnings = staging.redacted(warnings, terms)
    where staging.quotes(array_to_string(warnings, E'\n'), terms);
    update public.questions set
        reason = (staging.redacted(array[reason], terms))[1],
        details = staging.redacted(details, terms),
        cells = coalesce(
            (
                select jsonb_agg(cell) from jsonb_array_elements(cells) as cell
                where not staging.quotes(cell::text, terms)
            ),
            '[]'
        )
    where staging.quotes(concat_ws(E'\n', reason, array_to_string(details, E'\n'), cells), terms);
    return query
    update public.validations set
        facts = staging.redacted(facts, terms),
        result = case when staging.quotes(result::text, terms) then '[]' else result end,
        delivered_values = '{}'
    where staging.quotes(concat_ws(E'\n', array_to_string(facts, E'\n'), result, delivered_values), terms)
    returning validations.run_id, validations.table_name;

    update public.erasures set completed_at = now() where erasure_id = erasure;
end
$$;

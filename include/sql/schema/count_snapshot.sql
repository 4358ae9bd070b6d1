-- Counts a month's snapshot against the nearest earlier one, and checks that it is state(k): rows carried forward and
-- columns that the file left out equal the earlier snapshot's, and none of its users is missing.
--
-- takes:  the relation with the snapshot (a build or a sealed partition), its month, the nearest earlier sealed month
--         (NULL: none), and the optional columns that its delivery does not have; to count only the users in a list of
--         changes to the month or to the one before it, the list's name
-- leaves: a function staging.count_<table> per table, and staging.count_sealed, which calls them for sealed snapshots
{% import 'parts/columns.sql' as sql %}
{% for table in tables.values() %}
create or replace function staging.count_{{ table.name }}(
    snapshot regclass, month date, previous_month date, left_out text[], changes text default null
) returns setof staging.counts
language plpgsql stable set search_path = pg_catalog, pg_temp set datestyle = 'ISO' as $$
declare
    is_counted text := case
        when changes is null then 'true'
        else format('user_id in (select user_id from staging.%I where as_of in ($1, $2))', changes)
    end;
begin
    return query execute format(  -- unlike `execute … into`, this may run in parallel
        $counts$
        select
            count(*) filter (where is_delivered) as delivered,
            count(*) filter (where is_delivered and previous.user_id is null) as inserted,
            count(*) filter (
                where is_delivered and previous.user_id is not null
                and {{ sql.differ(table, table.all_columns, 'snapshot', 'previous', 20) }}
            ) as updated,
            count(*) filter (where not is_delivered) as carried_forward,
            coalesce({{ sql.checksum(sql.columns(table.all_columns + ('as_of', 'source_as_of'), 'snapshot', 16)) }}, 0)
                as snapshot_checksum,
            count(previous.user_id)
            = (select count(*) from public.{{ table.snapshots }} where as_of = $2 and %2$s)
            and count(*) filter (
                where not is_delivered
                and {{ sql.differ(table, table.all_columns + ('source_as_of',), 'snapshot', 'previous', 20) }}
                {%- for name in table.optional %}
                or '{{ name }}' = any($3) and {{ sql.differ(table, (name,), 'snapshot', 'previous', 20) }}
                {%- endfor %}
            ) = 0 as is_state
        from (select *, source_as_of = $1 as is_delivered from %1$s where %2$s) as snapshot
        left join public.{{ table.snapshots }} as previous
            on snapshot.user_id = previous.user_id and previous.as_of = $2
        $counts$, snapshot, is_counted
    ) using month, previous_month, left_out;
end
$$;
{% endfor %}

create or replace function staging.count_sealed(
    of_table text, month date, previous_month date, left_out text[], changes text default null
) returns staging.counts
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    counts staging.counts;
begin
    execute format('select * from staging.count_%s($1, $2, $3, $4, $5)', of_table)
    into counts
    using
        format('public.%I', staging.snapshots_of(of_table) || to_char(month, '_YYYYMMDD'))::regclass,
        month, previous_month, left_out, changes;
    return counts;
end
$$;

-- Stops unless a sealed snapshot is what follows from the months before it.
create or replace function staging.assert_follows(of_table text, month date, is_state boolean) returns void
language sql as $$
    select staging.assert_true(
        is_state,
        format(
            E'the sealed snapshot of %s for %s does not follow from the months before it.\n'
            'Something other than this pipeline wrote to it. Nothing was sealed.',
            of_table, month
        ),
        format('restate %s first: run it with restate=true.', month)
    )
$$;

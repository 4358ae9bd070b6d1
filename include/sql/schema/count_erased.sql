{% import 'parts/columns.sql' as sql %}
-- The rows of some users in the snapshots, per month and table, counted as the ledger counts them. Read-only.
-- is_recounted: see public.erasure_months.
create or replace function staging.count_erased(users text[])
returns table (
    as_of date, table_name text,
    inserted bigint, updated bigint, unchanged bigint, carried_forward bigint, is_recounted boolean
)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
    return query
    with
    ledger as (
        select
            as_of,
            table_name,
            sealed_at,
            lag(as_of) over (partition by table_name order by as_of) as previous,
            lag(sealed_at) over (partition by table_name order by as_of) as previous_sealed_at
        from public.current_deliveries
    ),
    {% for table in tables.values() %}
    of_{{ table.name }} as materialized (
        select * from public.{{ table.snapshots }} where user_id = any(users)
    ),
    {% endfor %}
    found as (
        {%- for table in tables.values() %}
        select
            snapshot.as_of,
            '{{ table.name }}' as table_name,
            snapshot.source_as_of = snapshot.as_of as is_delivered,
            previous.user_id is null as is_new,
            {{ sql.differ(table, table.all_columns, 'snapshot', 'previous', 16) }} as is_different
        from of_{{ table.name }} as snapshot
        left join ledger on snapshot.as_of = ledger.as_of and ledger.table_name = '{{ table.name }}'
        left join of_{{ table.name }} as previous
            on snapshot.user_id = previous.user_id and ledger.previous = previous.as_of
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    ),

    counted as (
        select
            as_of,
            table_name,
            count(*) filter (where is_delivered and is_new) as inserted,
            count(*) filter (where is_delivered and not is_new and is_different) as updated,
            count(*) filter (where is_delivered and not is_new and not is_different) as unchanged,
            count(*) filter (where not is_delivered) as carried_forward
        from found
        group by as_of, table_name
    )

    select counted.*, coalesce(ledger.previous_sealed_at > ledger.sealed_at, false)
    from counted
    left join ledger using (as_of, table_name)
    order by as_of, table_name;
end
$$;

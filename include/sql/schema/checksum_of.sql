{% from 'parts/columns.sql' import checksum -%}
-- Counts a month's rows in a snapshot table, and computes their checksum over the columns that a ledger revision
-- covers. Columns that came later must be NULL. The checksum is NULL if a column that it covers is gone.
create or replace function staging.checksum_of(snapshots regclass, month date, covered text[])
returns table (snapshot_rows bigint, snapshot_checksum numeric, later_values bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp set datestyle = 'ISO' as $$
declare
    names text[] := array(
        select attname::text
        from pg_attribute
        where attrelid = snapshots and attnum > 0 and not attisdropped and attname not in ('as_of', 'source_as_of')
    );
    -- an empty list is NULL
    columns text := (
        select string_agg(quote_ident(name), ', ' order by place)
        from unnest(covered) with ordinality as listed (name, place)
    );
    later text := (select string_agg(quote_ident(name), ', ') from unnest(names) as name where name <> all(covered));
begin
    return query execute format(
        'select count(*), %s, count(*) filter (where num_nonnulls(%s) > 0) from %s where as_of = $1',
        case
            when covered <@ names then format($sum${{ checksum('%s, as_of, source_as_of') }}$sum$, columns)
            else 'null::numeric'
        end,
        coalesce(later, 'null'), snapshots
    ) using month;
end
$$;

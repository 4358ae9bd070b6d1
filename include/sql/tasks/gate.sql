{% from 'parts/month.sql' import as_of with context -%}
{% set delivered = tables_of(as_of) %}{% set others = tables.values() | selectattr('refers_to') | list -%}
-- Audits {{ as_of }} before it is published. Read-only.
--
-- takes:  the builds of {{ as_of }}, and their changes to sealed months
-- leaves: one row: the month's status, the builds that were audited, whether they are current, figures for warnings,
--         rows without a user, changes to sealed months, broken rules to decide about; fails unless all are built
{% include 'parts/session.sql' %}
select staging.assert_built(date '{{ as_of }}', {{ run_id | literal }});

with
this_month as (select * from staging.builds where as_of = '{{ as_of }}'),

month as (select * from this_month where table_name = '{{ root.name }}'),

-- if another run has sealed a month since the builds, they may not fit together, and are built again
base as (select bool_and(base = (select count(*) from public.deliveries)) as is_current from this_month),

changes as (
    {%- for table in delivered.values() %}
    select as_of, '{{ table.name }}' as table_name, user_id, what from staging.{{ table.changes(as_of) }}
    {{- ' union all' if not loop.last }}
    {%- endfor %}
),

later as (
    {%- for table in others %}
    select as_of, '{{ table.name }}' as table_name, user_id from public.{{ table.snapshots }}
    {{- ' union all' if not loop.last }}
    {%- endfor %}
    {%- if not others %}
    select current_date as as_of, '' as table_name, '' as user_id where false
    {%- endif %}
),

{% for name in delivered.values() | map(attribute='refers_to') | select | unique -%}
-- a build is empty if the month is sealed with the same file
known_{{ name }} as not materialized (
    select user_id from staging.{{ tables[name].build(as_of) }}
    union all
    select user_id from public.{{ tables[name].snapshots }}
    where as_of = '{{ as_of }}' and not exists (select from staging.{{ tables[name].build(as_of) }})
),

{% endfor -%}
removed as (select as_of, table_name, user_id from changes where what = 'removed'),

removed_users as (select as_of, table_name as refers_to, user_id from removed),

orphans as (
    {%- for table in delivered.values() if table.refers_to %}
    select date '{{ as_of }}' as as_of, '{{ table.name }}' as table_name, user_id
    from staging.{{ table.build(as_of) }} as built
    where not exists (select from known_{{ table.refers_to }} as known where known.user_id = built.user_id)
    {{- ' union all' }}
    {%- endfor %}
    select as_of, table_name, user_id from later
    inner join staging.tables() using (table_name)
    inner join removed_users using (as_of, refers_to, user_id)
    left join removed as gone using (as_of, table_name, user_id)
    where as_of > '{{ as_of }}' and gone is null
),

sealed_changes as (
    select as_of, table_name, what, count(*) as row_count from changes
    where as_of > '{{ as_of }}' or table_name in (select table_name from this_month where is_sealed)
    group by as_of, table_name, what
    union all
    -- the columns that a sealed file left out decide what later months carry forward
    select as_of, table_name, 'delivered columns' as what, sealed.delivered from this_month
    inner join public.current_deliveries as sealed using (as_of, table_name)
    where this_month.not_delivered <> sealed.not_delivered
),

same_files as (
    select sealed.as_of from public.current_deliveries as sealed
    inner join this_month using (table_name, file_sha256)
    where sealed.as_of <> this_month.as_of
    group by sealed.as_of having count(*) = {{ delivered | length }}
),

found_orphans as (
    select as_of, table_name, count(*) as row_count, (array_agg(user_id order by user_id))[:5] as examples
    from orphans group by as_of, table_name
)

select
    month.as_of::text as as_of,
    month.previous::text as previous,
    (select max(as_of)::text from public.deliveries) as newest_sealed,
    month.is_sealed,
    (select string_agg(b.table_name, ', ') from this_month as b where month.is_sealed and not b.is_sealed)
        as new_tables,
    (select max(as_of)::text from same_files) as same_files_as,
    staging.builds_of(month.as_of) as builds,
    (select is_current from base) as is_current,
    (
        select earlier.delivered - earlier.suppressed from public.current_deliveries as earlier
        where earlier.as_of = month.previous and earlier.table_name = '{{ root.name }}'
    ) as users_before,
    -- users that the previous month delivered and this one does not
    (select count(*) from staging.{{ root.build(as_of) }} as b where b.source_as_of = month.previous) as users_gone,
    (
        select coalesce(jsonb_agg(found_orphans order by as_of, table_name), '[]')
        from found_orphans where (select is_current from base)
    ) as orphans,
    (
        select coalesce(jsonb_agg(sealed_changes order by as_of, table_name, what), '[]')
        from sealed_changes where (select is_current from base)
    ) as sealed_changes,
    staging.asks_of(month.as_of) as asks
from month;

-- Which live tables are not yet the newest snapshot: those that no upsert of this month brought there although the
-- newest snapshot is new or changed, and those that a month which was never sealed has touched. A restated run
-- looks at every table that it has not brought there itself.
--
-- takes:  staging.live_claims, the replays and month_plan
-- leaves: their names in the temporary table stale_live; in a month in order there are none
create temporary table stale_live on commit drop as
with
head_changed as (
    {%- for table in tables.values() %}
    select
        '{{ table.name }}' as table_name,
        month_plan.is_head
        or {{ restate }}
        or exists (select from {{ table.name }}_replay where as_of = month_plan.newest_sealed) as is_changed
    from month_plan
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

own_claims as (
    select table_name from staging.own_claims
    where as_of = date '{{ month.as_of }}'
)

select head_changed.table_name
from head_changed
left join staging.live_claims as claim using (table_name)
where
    (head_changed.is_changed or claim.table_name is not null)
    and head_changed.table_name not in (select table_name from own_claims);

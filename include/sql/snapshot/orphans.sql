-- Rows that would refer to no user: of the month itself, and of sealed months whose user the delivery takes away.
--
-- takes:  the staged deliveries; the sealed snapshots; month_plan and the replays; `looked_for`, a condition without
--         which nothing is looked at
-- leaves: the temporary table orphans, a row per month, table and user

-- rows whose user this delivery does not have
create temporary table strangers on commit drop as
with
delivered as (
    {%- for table in tables.values() if table.name != 'users' %}
    select '{{ table.name }}' as table_name, user_id from staging.{{ table.name }}_{{ month.suffix }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select delivered.table_name, delivered.user_id
from delivered
where
    {{ looked_for }}
    and not exists (
        select from staging.users_{{ month.suffix }} as known
        where known.user_id = delivered.user_id
    );

create temporary table orphans on commit drop as
-- nor the month before
select
    date '{{ month.as_of }}' as as_of,
    stranger.table_name,
    stranger.user_id
from strangers as stranger
where not exists (
    select from public.users_snapshots as known
    where known.user_id = stranger.user_id and known.as_of = (select previous from month_plan)
)
{%- for table in tables.values() if table.name != 'users' %}
union all
-- rows of sealed months whose user this delivery takes away
select
    snapshot.as_of,
    '{{ table.name }}' as table_name,
    snapshot.user_id
from public.{{ table.snapshots }} as snapshot
inner join users_replay as replay
    on snapshot.user_id = replay.user_id and snapshot.as_of = replay.as_of and replay.what = 'removed'
left join {{ table.name }}_replay as own
    on snapshot.user_id = own.user_id and snapshot.as_of = own.as_of and own.what = 'removed'
where snapshot.as_of >= date '{{ month.as_of }}' and own.user_id is null
{%- endfor %};

-- What must hold before the first row of the month is written anywhere but in staging. It only looks.
--
-- takes:  the six staged and validated deliveries of {{ month.as_of }}; the sealed snapshots
-- leaves: one row: where the month stands, what is odd about it, rows that refer to no user, and what would
--         change in sealed months
-- each statement is to see what was committed while the one before it waited
set local transaction_isolation = 'read committed';

{% include 'resources.sql' %}
select pg_advisory_xact_lock_shared(hashtext('streamflow'));

{% include 'month_plan.sql' %}

{% for table in tables.values() %}
{% include 'snapshot/replay.sql' %}
{% endfor %}
{% include 'snapshot/sealed_changes.sql' %}

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
where not exists (
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

-- of the users that the month before delivered, those whom this one does not
create temporary table users_gone on commit drop as
select
    count(*) as before,
    count(*) filter (where delivered.user_id is null) as gone
from public.users_snapshots as snapshot
left join staging.users_{{ month.suffix }} as delivered on snapshot.user_id = delivered.user_id
where
    snapshot.as_of = (select previous from month_plan)
    and snapshot.source_as_of = snapshot.as_of;

select
    month_plan.as_of::text as as_of,
    month_plan.previous::text as previous,
    month_plan.newest_sealed::text as newest_sealed,
    month_plan.is_sealed,
    month_plan.is_same,
    -- another month that was sealed with all six of these files
    (
        select max(found.as_of)::text
        from (
            select sealed.as_of
            from public.current_deliveries as sealed
            inner join staging.files as file using (table_name, file_sha256)
            where file.as_of = month_plan.as_of and sealed.as_of <> month_plan.as_of
            group by sealed.as_of
            having count(*) = {{ tables | length }}
        ) as found
    ) as same_files_as,
    (select to_jsonb(users_gone) from users_gone) as users,
    (
        select coalesce(jsonb_agg(found order by found.as_of, found.table_name), '[]')
        from (
            select as_of, table_name, count(*) as row_count, (array_agg(user_id order by user_id))[:5] as examples
            from orphans
            group by as_of, table_name
        ) as found
    ) as orphans,
    (
        select coalesce(jsonb_agg(found order by found.as_of, found.table_name, found.what), '[]')
        from sealed_changes as found
    ) as sealed_changes
from month_plan;

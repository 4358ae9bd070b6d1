-- What must hold before the first row of the month is written anywhere but in staging. It only looks.
--
-- takes:  the six staged and validated deliveries of {{ month.as_of }}; the sealed snapshots
-- leaves: one row: where the month stands, what is odd about it, rows that refer to no user, and what would
--         change in sealed months
-- each statement must see what others committed while the one before it waited
set local transaction_isolation = 'read committed';

{% include 'resources.sql' %}
lock table staging.publish_lock in row share mode;

{% include 'month_plan.sql' %}

{% for table in tables.values() %}
{% include 'snapshot/replay.sql' %}
{% endfor %}
{% include 'snapshot/sealed_changes.sql' %}

{% set looked_for = 'true' %}
{% include 'snapshot/orphans.sql' %}
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

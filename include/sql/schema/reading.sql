-- For readers: the sealed months, the state as of a day, and a user's history. Read-only.
--
-- takes:  the snapshots and the ledger
-- leaves: the view public.sealed_months, a function public.<table>_as_of(day) per table, and
--         public.user_history(user_id)

create or replace view public.sealed_months as
select
    as_of,
    max(revision) as revision,
    (select min(every.sealed_at) from public.deliveries as every where every.as_of = sealed.as_of) as first_sealed_at,
    max(sealed_at) as sealed_at,
    sum(delivered) filter (where table_name = '{{ root.name }}') as users_delivered,
    sum(snapshot_rows) filter (where table_name = '{{ root.name }}') as users,
    coalesce(
        (
            select min(regexp_replace(archived.place, '/[^/]+/as_of=[^/]+/.*$', ''))
            from public.archived_snapshots as archived
            where archived.as_of = sealed.as_of
        ), 'database'
    ) as place
from public.current_deliveries as sealed
group by as_of;

comment on view public.sealed_months is
'the sealed months; a revision above 1 means that the month was restated';
comment on column public.sealed_months.place is
'where the snapshots are: database, or the folder of the archive if they are only there';

-- The functions are PL/pgSQL, which plans its query after the caller's snapshot was taken. A plan made before a month's
-- partition was attached would return no rows for a month that the ledger already has.
{% for table in tables.values() %}
-- the newest sealed state of {{ table.name }} on or before a day; no rows before the first sealed month; an error if it
-- is only in the archive
create or replace function public.{{ table.name }}_as_of(day date) returns setof public.{{ table.snapshots }}
language plpgsql stable as $$
declare
    newest date := (
        select max(sealed.as_of) from public.deliveries as sealed
        where sealed.table_name = '{{ table.name }}' and sealed.as_of <= day
    );
begin
    return query select * from public.{{ table.snapshots }} where as_of = newest;
    if not found and newest is not null then
        -- a statement of its own: only here are rights on the archive's record needed
        if exists (
            select from public.current_archives as archived
            where archived.as_of = newest and archived.table_name = '{{ table.name }}' and archived.snapshot_rows > 0
        ) then
            raise exception using
                message = format('the snapshot of {{ table.name }} for %s is only in the archive', newest),
                hint = format('make restore MONTH=%s brings it back; sealed_months says where it is.', newest);
        end if;
    end if;
end
$$;
{% endfor %}
-- every month in which a row of the user appeared, changed, or went, with the old and new values that differ; for
-- months in a row that are only in the archive, one row that says so, and what is found in the first month after them
create or replace function public.user_history(of_user text)
returns table (as_of date, table_name text, what text, was jsonb, is_now jsonb)
language plpgsql stable as $$
#variable_conflict use_column
begin
return query
with
months as (
    select distinct
        deliveries.as_of,
        deliveries.table_name,
        archived.as_of is not null as is_archived
    from public.deliveries
    left join public.archived_snapshots as archived using (as_of, table_name)
),

states as (
    {%- for table in tables.values() %}
    select
        months.as_of,
        months.table_name,
        months.is_archived,
        to_jsonb(snapshot) - '{user_id, as_of, source_as_of}'::text[] as state
    from months
    left join public.{{ table.snapshots }} as snapshot
        on snapshot.user_id = of_user and snapshot.as_of = months.as_of
    where months.table_name = '{{ table.name }}'
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

steps as (
    select
        *,
        lag(state) over in_order as before,
        coalesce(lag(is_archived) over in_order, false) as follows_archived,
        coalesce(lead(is_archived) over in_order, false) as is_next_archived
    from states
    window in_order as (partition by table_name order by states.as_of)
)

select
    steps.as_of,
    steps.table_name,
    case
        when steps.is_archived then 'archived'
        when steps.follows_archived then 'found'
        when steps.before is null then 'appeared'
        when steps.state is null then 'went'
        else 'changed'
    end as what,
    (
        select jsonb_object_agg(key, value) from jsonb_each(steps.before)
        where not steps.is_archived and (steps.state is null or steps.state -> key is distinct from value)
    ) as was,
    (
        select jsonb_object_agg(key, value) from jsonb_each(steps.state)
        where steps.before is null or steps.before -> key is distinct from value
    ) as is_now
from steps
where
    steps.is_archived and not steps.is_next_archived
    or not steps.is_archived
    and steps.state is distinct from steps.before
    and (steps.state is not null or not steps.follows_archived)
order by steps.as_of, steps.table_name;
end
$$;

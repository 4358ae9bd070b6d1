-- Brings every stale live table to the newest snapshot.
--
-- takes:  stale_live; the snapshots, this month's included
-- leaves: live equal to the newest snapshot; users go last and come first, as the other tables refer to them
{% import 'macros.sql' as sql %}
{% set newest %}(select greatest(as_of, newest_sealed) from month_plan){% endset %}
{%- set stale %}(select exists (select from stale_live where table_name = '%s')){% endset %}
{%- for table in tables.values() | reverse %}
delete from public.{{ table.name }} as live
where
    {{ stale % table.name }}
    and not exists (
        select from public.{{ table.snapshots }} as snapshot
        where snapshot.user_id = live.user_id and snapshot.as_of = {{ newest }}
    );
{% endfor %}
{%- for table in tables.values() %}
merge into public.{{ table.name }} as live
using (
    select * from public.{{ table.snapshots }}
    where as_of = {{ newest }} and {{ stale % table.name }}
) as snapshot
    on live.user_id = snapshot.user_id
when matched and record_image_ne(
    row({{ sql.columns(table, 'live') }}),
    row({{ sql.columns(table, 'snapshot') }})
) then update set
    {%- for column in table.columns %}
    {{ column }} = snapshot.{{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
when not matched then insert (user_id, {{ table.columns | join(', ') }})
    values (snapshot.user_id, {{ sql.columns(table, 'snapshot') }});
{% endfor %}

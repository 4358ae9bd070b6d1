-- Brings live {{ table.name }} up to its staged delivery of {{ month.as_of }}.
--
-- takes:  the staged and validated delivery; live as the newest sealed month left it
-- leaves: new rows inserted, changed rows updated, identical rows not rewritten, and a claim that says so.
--         A month that is not the newest, or a live table that another unsealed month has claimed, is left
--         alone: the snapshot step then brings live to the newest snapshot.
{% import 'macros.sql' as sql %}
-- each statement must see what others committed while the one before it waited
set local transaction_isolation = 'read committed';

{% include 'resources.sql' %}
lock table staging.publish_lock in row share mode;

{% include 'month_plan.sql' %}

insert into staging.live_claims (table_name, as_of, file_sha256)
select file.table_name, file.as_of, file.file_sha256
from staging.files as file
cross join month_plan
where
    file.as_of = month_plan.as_of
    and file.table_name = '{{ table.name }}'
    and month_plan.is_head
    {%- if table.name != 'users' %}
    -- the users that the rows refer to are there only if the same run brought them
    and exists (
        select from staging.own_claims as claim
        where claim.as_of = month_plan.as_of and claim.table_name = 'users'
    )
    {%- endif %}
on conflict (table_name) do nothing;

create temporary table own_claim on commit drop as
select claim.table_name, claim.not_delivered
from staging.own_claims as claim
where claim.as_of = date '{{ month.as_of }}' and claim.table_name = '{{ table.name }}';

-- new and changed rows, as live is to have them; found by both processors, which a merge alone would not use
create temporary table changed on commit drop as
with
-- scalars: processes that share a query do not see each other's temporary tables
file as (
    select {{ sql.lacking(table, 'own_claim') }}
    where exists (select from own_claim)
)

select
    delivered.user_id,
    {%- for column in table.columns %}
    {{ sql.value(table, column, 'delivered', 'live') }} as {{ column }},
    {%- endfor %}
    live.user_id is null as is_new
from staging.{{ table.name }}_{{ month.suffix }} as delivered
cross join file
left join public.{{ table.name }} as live on delivered.user_id = live.user_id
where
    live.user_id is null
    or record_image_ne(
        row(
            {%- for column in table.columns %}
            {{ sql.value(table, column, 'delivered', 'live') }}{{ ',' if not loop.last }}
            {%- endfor %}
        ),
        row({{ sql.columns(table, 'live') }})
    );

merge into public.{{ table.name }} as live
using changed on live.user_id = changed.user_id
when matched then update set
    {%- for column in table.columns %}
    {{ column }} = changed.{{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
when not matched then insert (user_id, {{ table.columns | join(', ') }})
    values (changed.user_id, {{ sql.columns(table, 'changed') }});

create temporary table upserted on commit drop as
select
    count(*) filter (where is_new) as inserted,
    count(*) filter (where not is_new) as updated
from changed;

-- a repeated try finds nothing left to change: the first one's counts are the month's
update staging.live_claims as claim
set inserted = upserted.inserted, updated = upserted.updated
from upserted
where
    claim.table_name = (select table_name from own_claim)
    and claim.inserted is null;

select
    file.delivered,
    upserted.inserted,
    upserted.updated,
    case
        when own_claim.table_name is not null then 'upserted'
        when month_plan.is_same then 'left as it is: the month is sealed with these files'
        else 'left to the snapshot step: live is not this month''s to advance'
    end as live
from staging.files as file
inner join month_plan on file.as_of = month_plan.as_of
cross join upserted
left join own_claim on file.table_name = own_claim.table_name
where file.table_name = '{{ table.name }}';

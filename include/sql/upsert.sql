-- Brings live {{ table.name }} up to its staged delivery of {{ month.as_of }}.
--
-- takes:  the staged and validated delivery; live as the newest sealed month left it
-- leaves: new rows inserted, changed rows updated, identical rows not rewritten, and a claim that says so.
--         A month that is not the newest, or a live table that another unsealed month has claimed, is left
--         alone: the snapshot step then brings live to the newest snapshot.
{% import 'macros.sql' as sql %}
-- each statement is to see what was committed while the one before it waited
set local transaction_isolation = 'read committed';

{% include 'memory.sql' %}
select pg_advisory_xact_lock_shared(hashtext('streamflow'));

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
{% if table.name != 'users' %}
select staging.lift_keys(table_name) from own_claim;
{% endif %}
create temporary table before_upsert on commit drop as
select count(*) as row_count from public.{{ table.name }};

merge into public.{{ table.name }} as live
using (
    select delivered.*, own_claim.not_delivered
    from staging.{{ table.name }}_{{ month.suffix }} as delivered
    cross join own_claim
) as delivered
    on live.user_id = delivered.user_id
when matched and record_image_ne(
    row(
        {%- for column in table.columns %}
        {{ sql.value(table, column, 'delivered', 'live', 'delivered') }}{{ ',' if not loop.last }}
        {%- endfor %}
    ),
    row({{ sql.columns(table, 'live') }})
) then update set
    {%- for column in table.columns %}
    {{ column }} = {{ sql.value(table, column, 'delivered', 'live', 'delivered') }}{{ ',' if not loop.last }}
    {%- endfor %}
when not matched then insert (user_id, {{ table.columns | join(', ') }})
    values (delivered.user_id, {{ sql.columns(table, 'delivered') }});
{% if table.name != 'users' %}
select staging.set_keys(table_name) from own_claim;
{% endif %}
-- every row that this transaction has written is new or updated
create temporary table upserted on commit drop as
with
after_upsert as (
    select
        count(*) as row_count,
        count(*) filter (where live.xmin = pg_current_xact_id()::xid) as written
    from public.{{ table.name }} as live
),

new_rows as (
    select after_upsert.row_count - before_upsert.row_count as inserted
    from after_upsert
    cross join before_upsert
)

select
    new_rows.inserted,
    after_upsert.written - new_rows.inserted as updated
from after_upsert
cross join new_rows;

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

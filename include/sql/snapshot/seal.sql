-- Seals {{ table.name }}: a revision in the ledger for this month, if it is new or restated from another file, and
-- for every sealed month whose snapshot the replay changed.
--
-- takes:  the written snapshots; the staged file's record; {{ table.name }}_replay; month_plan
-- leaves: rows in public.deliveries; none if nothing changed
{% import 'macros.sql' as sql %}
-- a table of its own, as only such a query is shared among the server's processes
create temporary table {{ table.name }}_content on commit drop as
select
    snapshot.as_of,
    count(*) as snapshot_rows,
    count(*) filter (where snapshot.source_as_of = snapshot.as_of) as delivered,
    {{ sql.checksum(table, 'snapshot') }} as snapshot_checksum
from public.{{ table.snapshots }} as snapshot
where
    snapshot.as_of >= date '{{ month.as_of }}'
    and snapshot.as_of = any(array(
        select as_of from month_plan
        where {{ restate }} or not is_sealed
        union
        select as_of from {{ table.name }}_replay
    ))
group by snapshot.as_of;

create temporary table {{ table.name }}_touched on commit drop as
with
-- only this month's file: what another run has staged is none of this one's business
file as (
    select as_of, file_sha256 from staging.files
    where as_of = date '{{ month.as_of }}' and table_name = '{{ table.name }}'
),

recorded as (
    select * from public.current_deliveries
    where table_name = '{{ table.name }}'
)

select as_of from file
where as_of not in (select as_of from recorded)
union
select as_of from {{ table.name }}_replay
union
-- restated from another file, or to repair a record that is not what the snapshot holds
select file.as_of
from file
inner join recorded using (as_of)
left join {{ table.name }}_content as content using (as_of)
where
    {{ restate }}
    and (
        file.file_sha256 <> recorded.file_sha256
        or (recorded.delivered, recorded.snapshot_rows, recorded.snapshot_checksum)
        is distinct from
        (coalesce(content.delivered, 0), coalesce(content.snapshot_rows, 0), coalesce(content.snapshot_checksum, 0))
    );

insert into public.deliveries (
    as_of, table_name, revision, file_name, file_bytes, file_sha256, not_delivered,
    delivered, inserted, updated, unchanged, carried_forward,
    snapshot_rows, snapshot_checksum, warnings, profile, run_id
)
with
recorded as (
    select * from public.current_deliveries
    where table_name = '{{ table.name }}'
),

claimed as (
    select as_of, inserted, updated from staging.own_claims
    where as_of = date '{{ month.as_of }}' and table_name = '{{ table.name }}'
),

-- where no upsert has counted, the snapshots tell: this month's rows against the nearest earlier month's
compared as (
    select
        snapshot.as_of,
        count(*) filter (where earlier.user_id is null) as inserted,
        count(*) filter (
            where record_image_ne(
                row({{ sql.columns(table, 'snapshot') }}),
                row({{ sql.columns(table, 'earlier') }})
            ) and earlier.user_id is not null
        ) as updated
    from public.{{ table.snapshots }} as snapshot
    left join public.{{ table.snapshots }} as earlier
        on
            snapshot.user_id = earlier.user_id
            and earlier.as_of >= (select coalesce(previous, as_of) from month_plan)
            and earlier.as_of = greatest(
                (select max(sealed.as_of) from public.deliveries as sealed where sealed.as_of < snapshot.as_of),
                -- this month is not in the ledger before its first table is
                (select month_plan.as_of from month_plan where month_plan.as_of < snapshot.as_of)
            )
    where
        snapshot.as_of >= date '{{ month.as_of }}'
        and snapshot.source_as_of = snapshot.as_of
        and snapshot.as_of = any(array(
            select as_of from {{ table.name }}_touched
            where as_of not in (select as_of from claimed)
        ))
    group by snapshot.as_of
),

file as (
    select as_of, file_name, file_bytes, file_sha256, not_delivered, warnings, profile
    from staging.files
    where as_of = date '{{ month.as_of }}' and table_name = '{{ table.name }}'
    union all
    select as_of, file_name, file_bytes, file_sha256, not_delivered, warnings, profile
    from recorded
    where as_of <> date '{{ month.as_of }}'
)

select
    touched.as_of,
    '{{ table.name }}' as table_name,
    coalesce(recorded.revision, 0) + 1 as revision,
    file.file_name,
    file.file_bytes,
    file.file_sha256,
    file.not_delivered,
    coalesce(content.delivered, 0) as delivered,
    coalesce(claimed.inserted, compared.inserted, 0) as inserted,
    coalesce(claimed.updated, compared.updated, 0) as updated,
    coalesce(content.delivered - coalesce(claimed.inserted, compared.inserted, 0)
    - coalesce(claimed.updated, compared.updated, 0), 0) as unchanged,
    coalesce(content.snapshot_rows - content.delivered, 0) as carried_forward,
    coalesce(content.snapshot_rows, 0) as snapshot_rows,
    coalesce(content.snapshot_checksum, 0) as snapshot_checksum,
    file.warnings,
    file.profile,
    {{ run }} as run_id
from {{ table.name }}_touched as touched
inner join file using (as_of)
left join recorded using (as_of)
left join {{ table.name }}_content as content using (as_of)
left join claimed using (as_of)
left join compared using (as_of);

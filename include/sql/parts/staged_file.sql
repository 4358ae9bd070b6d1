{% from 'parts/month.sql' import as_of with context -%}
-- Returns the staged file's record, and the previous month's figures to compare it with; fails if another run has
-- taken over the month.
--
-- takes:  the record of a load; the ledger
-- leaves: one row with the file's name, size, sha256, and left-out columns, whether the month was ever sealed with
--         this file, and the rows and profile of the nearest earlier sealed month's delivery (NULL if there is none)
with
before as (
    select as_of, profile, delivered - suppressed as delivered
    from public.current_deliveries
    where table_name = '{{ task.table.name }}' and as_of < date '{{ as_of }}'
    order by as_of desc
    limit 1
)

select
    file.file_name,
    file.file_bytes,
    file.file_sha256,
    file.not_delivered,
    (
        select count(*) > 0
        from public.deliveries as sealed
        where
            sealed.as_of = file.as_of
            and sealed.table_name = file.table_name
            and sealed.file_sha256 = file.file_sha256
    ) as is_sealed,
    (select jsonb_build_object('as_of', as_of, 'delivered', delivered, 'profile', profile) from before) as before
from staging.files as file
cross join staging.assert_run_owns_month(date '{{ as_of }}', {{ run_id | literal }})
cross join staging.assert_no_erasure_since(date '{{ as_of }}', '{{ task.table.name }}')
where file.as_of = date '{{ as_of }}' and file.table_name = '{{ task.table.name }}';

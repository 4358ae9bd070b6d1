-- All that the ledger says of a month.
--
-- takes:  the ledger; $1, the month
-- leaves: a query with a row per table and revision, in order
select
    table_name,
    revision,
    file_name,
    file_bytes,
    file_sha256,
    not_delivered,
    delivered,
    inserted,
    updated,
    unchanged,
    carried_forward,
    snapshot_rows,
    snapshot_checksum::text as snapshot_checksum,
    warnings,
    profile,
    run_id,
    sealed_at,
    approved_by,
    approved_at,
    approval_reason,
    kind,
    suppressed,
    erased
from public.deliveries
where as_of = $1
order by table_name, revision;

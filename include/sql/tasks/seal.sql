{% from 'parts/month.sql' import as_of with context -%}
-- Publishes {{ as_of }}: its snapshots, its changes to sealed months, and the ledger, in one short transaction.
--
-- takes:  the builds, their lists of changes to sealed months, and the gate's result for exactly these builds
-- leaves: see schema/seal_month.sql; the owner's function does the work, so that no other statement can write to
--         sealed snapshots or the ledger
{% include 'parts/session.sql' %}
select
    result ->> 'as_of' as as_of,
    (result ->> 'ledger_rows_written')::integer as ledger_rows_written,
    result ->> 'months_sealed' as months_sealed,
    result -> 'revisions' as revisions
from staging.seal_month(
    date '{{ as_of }}', {{ run_id | literal }}, {{ params.restate | lower }},
    {{ ti.xcom_pull('gate') | tojson | literal }}::jsonb
) as result;

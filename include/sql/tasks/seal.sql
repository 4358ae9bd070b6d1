{% from 'parts/month.sql' import as_of with context -%}
-- Publishes {{ as_of }}: its snapshots, the sealed months that it changes, and the ledger, in one short transaction.
--
-- takes:  the builds, their lists of changes in sealed months, and what the gate has said of these very builds
-- leaves: what schema/seal_month.sql says; it is a function of the owner's, so that no other statement writes to
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

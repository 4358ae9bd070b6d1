{% from 'parts/month.sql' import as_of with context -%}
-- Claims {{ as_of }} for this run. A run that had claimed it before stops at its next step.
--
-- takes:  the month and its folder
-- leaves: this run in staging.runs; fails if the ledger says that the folder belongs to another month
{% set folder = ti.xcom_pull('check_month')['folder'] -%}
select staging.claim_month(date '{{ as_of }}', {{ run_id | literal }}, {{ folder | literal }});

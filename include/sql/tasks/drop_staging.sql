{% from 'parts/month.sql' import as_of with context -%}
-- Drops the run's tables in the schema staging, once the month is sealed and live is up to date.
--
-- takes:  the staging tables and builds of {{ as_of }}
-- leaves: nothing of them, unless another run has claimed the month since; one row with the months that were sealed or
--         changed since a run first claimed this month, or with NULL if another run has it now
select staging.drop_month(date '{{ as_of }}', {{ run_id | literal }})::text[] as months;

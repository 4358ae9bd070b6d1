{% from 'parts/month.sql' import as_of with context -%}
-- Adds a validation to the log, whether it passed or failed.
--
-- takes:  the record of the load; the parameters file_sha256, is_passed, facts, result, and delivered_values
-- leaves: a row in public.validations, unless the table was loaded again, or users were erased, meanwhile
insert into public.validations
(
    as_of, table_name, run_id, file_name, file_bytes, file_sha256, delivered,
    is_passed, facts, result, delivered_values
)
select
    as_of,
    table_name,
    {{ run_id | literal | replace("%", "%%") }} as run_id,
    file_name,
    file_bytes,
    file_sha256,
    delivered,
    {{ 'is_passed' | parameter }} as is_passed,
    {{ 'facts' | parameter }}::text[] as facts,
    {{ 'result' | parameter }}::jsonb as result,
    {{ 'delivered_values' | parameter }}::jsonb as delivered_values
from staging.files
where
    as_of = date '{{ as_of }}'
    and table_name = '{{ task.table.name }}'
    and file_sha256 = {{ 'file_sha256' | parameter }}
    and erasures = staging.erasures_known();

{% from 'parts/month.sql' import as_of with context -%}
-- Records a loaded file, as not validated yet; fails if another run has taken over the month.
--
-- takes:  the parameters file_name, file_bytes, file_sha256, not_delivered, and delivered
-- leaves: its row in staging.files, in place of an earlier attempt's
insert into staging.files
(as_of, table_name, file_name, file_bytes, file_sha256, not_delivered, delivered, erasures)
select
    date '{{ as_of }}' as as_of,
    '{{ task.table.name }}' as table_name,
    {{ 'file_name' | parameter }} as file_name,
    {{ 'file_bytes' | parameter }} as file_bytes,
    {{ 'file_sha256' | parameter }} as file_sha256,
    {{ 'not_delivered' | parameter }} as not_delivered,
    {{ 'delivered' | parameter }} as delivered,
    staging.erasures_known() as erasures
from staging.assert_run_owns_month(date '{{ as_of }}', {{ run_id | literal | replace("%", "%%") }})
on conflict (as_of, table_name) do update set
    file_name = excluded.file_name,
    file_bytes = excluded.file_bytes,
    file_sha256 = excluded.file_sha256,
    not_delivered = excluded.not_delivered,
    delivered = excluded.delivered,
    is_validated = false,
    warnings = default,
    asks = default,
    profile = default,
    suppressed = default,
    erasures = excluded.erasures;

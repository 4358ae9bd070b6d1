{% from 'parts/month.sql' import as_of with context -%}
-- Adds a question to the log; fails if another run has taken over the month.
--
-- takes:  the parameters builds, reason, details, and cells
-- leaves: a row in public.questions
insert into public.questions (as_of, run_id, builds, reason, details, cells)
select
    date '{{ as_of }}' as as_of,
    {{ run_id | literal | replace("%", "%%") }} as run_id,
    {{ 'builds' | parameter }} as builds,
    {{ 'reason' | parameter }} as reason,
    {{ 'details' | parameter }}::text[] as details,
    {{ 'cells' | parameter }}::jsonb as cells
from staging.assert_run_owns_month(date '{{ as_of }}', {{ run_id | literal | replace("%", "%%") }});

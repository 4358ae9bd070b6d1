-- Writes the snapshot of {{ table.name }} for a month that is not sealed yet, and keys it once it is full.
--
-- takes:  the state of the month; month_plan
-- leaves: the partition public.{{ table.snapshots }}_{{ month.suffix }}; a sealed month's is left alone
{% import 'macros.sql' as sql %}
select staging.create_partition('{{ table.snapshots }}', date '{{ month.as_of }}');

insert into public.{{ table.snapshots }}_{{ month.suffix }}
(user_id, {{ table.columns | join(', ') }}, as_of, source_as_of)
with
state as (
    {% include 'snapshot/state.sql' %}
)

select state.user_id, {{ sql.columns(table, 'state') }}, date '{{ month.as_of }}', state.source_as_of
from state
where not (select is_sealed from month_plan);

select staging.attach_partition('{{ table.snapshots }}', date '{{ month.as_of }}');

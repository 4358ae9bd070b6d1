-- Writes the snapshot of {{ table.name }} for a month that is not sealed yet, and keys it once it is full.
--
-- takes:  the two parts of the month's state (state.sql); month_plan
-- leaves: the partition public.{{ table.snapshots }}_{{ month.suffix }}; a sealed month's is left alone
{% import 'macros.sql' as sql %}
select staging.create_partition('{{ table.snapshots }}', date '{{ month.as_of }}');

-- a table of its own, as only such a query is shared among the server's processes
create temporary table {{ table.name }}_carried on commit drop as
with
carried as (
    {% include 'snapshot/carried.sql' %}
)

select carried.*
from carried
where not (select is_sealed from month_plan);

insert into public.{{ table.snapshots }}_{{ month.suffix }}
(user_id, {{ table.columns | join(', ') }}, as_of, source_as_of)
with
delivered as (
    {% include 'snapshot/delivered.sql' %}
),

state as (
    select * from delivered
    where not (select is_sealed from month_plan)
    union all
    select * from {{ table.name }}_carried
)

select state.user_id, {{ sql.columns(table, 'state') }}, date '{{ month.as_of }}', state.source_as_of
from state;

select staging.attach_partition('{{ table.snapshots }}', date '{{ month.as_of }}');

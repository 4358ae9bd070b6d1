-- The month's partition: the delivered rows, and the rows of other users from the month before; the key is added last.
create table public.{{ table.snapshots }}_{{ suffix }} (like public.{{ table.snapshots }});

insert into public.{{ table.snapshots }}_{{ suffix }}
(user_id, {{ table.columns | join(', ') }}, as_of, source_as_of)
{%- if delivered | length == table.columns | length %}
select user_id, {{ table.columns | join(', ') }}, date '{{ as_of }}', date '{{ as_of }}'
from staging.{{ table.name }}
{%- else %}
-- columns that the file leaves out keep their stored values
select live.user_id, live.{{ table.columns | join(', live.') }}, date '{{ as_of }}', date '{{ as_of }}'
from staging.{{ table.name }} as delivered
inner join public.{{ table.name }} as live on delivered.user_id = live.user_id
{%- endif %}
{%- if previous %}
union all
select user_id, {{ table.columns | join(', ') }}, date '{{ as_of }}', source_as_of
from public.{{ table.snapshots }}_{{ previous }} as previous
where not exists (select from staging.{{ table.name }} as delivered where delivered.user_id = previous.user_id)
{%- endif %};

alter table public.{{ table.snapshots }}_{{ suffix }} add primary key (user_id, as_of);

alter table public.{{ table.snapshots }}_{{ suffix }} add constraint as_of check (as_of = date '{{ as_of }}');

alter table public.{{ table.snapshots }}
attach partition public.{{ table.snapshots }}_{{ suffix }} for values in ('{{ as_of }}');

alter table public.{{ table.snapshots }}_{{ suffix }} drop constraint as_of;

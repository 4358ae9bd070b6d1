-- Brings the sealed snapshots of {{ table.name }} to what the replay found. Only a restated run comes here with
-- rows to change.
--
-- takes:  {{ table.name }}_replay
-- leaves: the changed, added and removed rows in public.{{ table.snapshots }}
{% import 'macros.sql' as sql %}
merge into public.{{ table.snapshots }} as snapshot
using {{ table.name }}_replay as replay
    on
        snapshot.user_id = replay.user_id
        and snapshot.as_of = replay.as_of
        and snapshot.as_of >= date '{{ month.as_of }}'
when matched and replay.what = 'removed' then delete
when matched then update set
    {%- for column in table.columns %}
    {{ column }} = replay.{{ column }},
    {%- endfor %}
    source_as_of = replay.source_as_of
when not matched then insert
    (user_id, {{ table.columns | join(', ') }}, as_of, source_as_of)
    values (replay.user_id, {{ sql.columns(table, 'replay') }}, replay.as_of, replay.source_as_of);

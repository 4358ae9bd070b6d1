-- The training sets that a sealed month completes: the one whose labels are of it, and, if a later
-- month was sealed before it, the one whose features are of it. The second is built only once.
--
-- takes:  the ledger, where a month before the label table's first one has no labels; the record of
--         training sets; the parameters label_table, sealed, the month, horizon, and features and
--         labels, the months that are horizon months before and after it
-- leaves: a query with one row per set: the month of its features
with
completed (as_of, label_as_of, is_built_once) as (
    values
    ({{ 'features' | parameter }}::date, {{ 'sealed' | parameter }}::date, false),
    ({{ 'sealed' | parameter }}::date, {{ 'labels' | parameter }}::date, true)
)

select distinct completed.as_of
from completed
inner join public.current_deliveries as features
    on completed.as_of = features.as_of and features.table_name = '{{ root.name }}'
inner join public.current_deliveries as labels
    on completed.label_as_of = labels.as_of and labels.table_name = {{ 'label_table' | parameter }}
left join public.training_sets as built
    on completed.as_of = built.as_of and built.horizon_months = {{ 'horizon' | parameter }}
where not completed.is_built_once or built.as_of is null
order by completed.as_of;

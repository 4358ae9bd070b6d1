{#-
The users of a training set, and their labels: how the queries of schema/training_set.sql begin.

takes:  root, the table that all others refer to, and label; $1, the month of the features, and $2, that of the labels
leaves: two CTEs: eligible_users, rows of the root's snapshot, and observed_labels. Both hold only what was delivered
        for their month, nothing that was carried forward. If the two months are one, nothing is predicted, and the
        label may be true already
-#}
{%- macro training_rows(root, label) -%}
with
eligible_users as (
    select delivered.*
    from public.{{ root.snapshots }} as delivered
    left join public.{{ label.table.snapshots }} as known
        on delivered.user_id = known.user_id and known.as_of = $1
    where
        delivered.as_of = $1
        and delivered.source_as_of = $1
        and (known.{{ label.name }} is not true or $2 = $1)
),

observed_labels as (
    select delivered.user_id, delivered.{{ label.name }}
    from public.{{ label.table.snapshots }} as delivered
    where delivered.as_of = $2 and delivered.source_as_of = $2 and delivered.{{ label.name }} is not null
)
{%- endmacro -%}

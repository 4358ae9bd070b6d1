-- Labels with a date, for tools that join labels and features by time: those of all training sets with a horizon of one
-- month, each dated by the first day of its month. Joined with the newest snapshot before that day, they give
-- training_set(as_of, 1).
--
-- takes:  the snapshots; the label that a table.yaml names, without which nothing is created
-- leaves: the schema training, and in it the view labels; neither if there is a schema of that name without our comment
{% if label %}
do $training$
begin
    if to_regnamespace('training') is null then
        create schema training;
        comment on schema training is '{{ training_comment }}';
    end if;
    if obj_description(to_regnamespace('training')) is distinct from '{{ training_comment }}' then
        raise warning 'the view training.labels is not created: the schema training is not StreamFlow''s'
        using hint = 'everything else works without the view. To have it, rename that schema, and install again.';
        return;
    end if;

    create or replace view training.labels as
    with
    observed as (
        select labels.user_id, labels.{{ label.name }} as churn_label, date_trunc('month', as_of::timestamp) as period_start
        from public.{{ label.table.snapshots }} as labels
        where labels.source_as_of = labels.as_of and labels.{{ label.name }} is not null
    )

    select observed.user_id, observed.period_start, observed.churn_label
    from observed
    inner join public.{{ root.snapshots }} as delivered
        on observed.user_id = delivered.user_id and delivered.as_of = observed.period_start::date - 1
    left join public.{{ label.table.snapshots }} as known
        on observed.user_id = known.user_id and delivered.as_of = known.as_of
    where delivered.source_as_of = delivered.as_of and known.{{ label.name }} is not true;
end
$training$;
{% endif %}

-- What models are trained on: the features of a month, and the label that was delivered some months later. A label that
-- was carried forward is not an observation: users without an observed label are counted, and are in no training set.
--
-- takes:  the snapshots and the ledger; the label that a table.yaml names, without which nothing is created
-- leaves: public.training_label_month(as_of, horizon_months), public.training_set(as_of, horizon_months), and
--         public.training_set_counts(as_of, horizon_months); all are read-only
{% from 'parts/training_rows.sql' import training_rows %}
{% if label %}
-- the month of the labels; stops unless both months are sealed
create or replace function public.training_label_month(as_of date, horizon_months integer) returns date
language plpgsql stable as $$
declare
    label_month date;
    missing text;
begin
    if (horizon_months between 0 and {{ max_horizon }}) is not true or as_of is null then
        raise exception using
            message = format(
                'a training set needs a month end, and a horizon of 0 to {{ max_horizon }} months; found %s and %s',
                coalesce(as_of::text, 'NULL'), coalesce(horizon_months::text, 'NULL')
            ),
            hint = 'call it, for example, as training_set(''2024-01-31'', 1).';
    end if;
    label_month := (date_trunc('month', as_of::timestamp) + make_interval(months => horizon_months + 1))::date - 1;
    select string_agg(format('%s of %s', needed.table_name, needed.month), ' and ' order by needed.place) into missing
    from (
        values (1, '{{ root.name }}', as_of), (2, '{{ label.table.name }}', label_month)
    ) as needed (place, table_name, month)
    where not exists (
        select from public.deliveries as sealed
        where sealed.as_of = needed.month and sealed.table_name = needed.table_name
    );
    if missing is not null then
        raise exception using
            message = format(
                E'not sealed: %s.\n'
                'A training set as of %s with a horizon of %s needs features of %2$s and labels of %4$s.',
                missing, as_of, horizon_months || case when horizon_months = 1 then ' month' else ' months' end,
                label_month
            ),
            hint = 'run the missing month first, or use another as_of: public.sealed_months has the sealed months.';
    end if;
    select string_agg(distinct archived.as_of::text, ', make restore MONTH=') into missing
    from public.archived_snapshots as archived
    where archived.as_of = training_label_month.as_of or archived.as_of = label_month;
    if missing is not null then
        raise exception using
            message = format(
                E'the training set as of %s with a horizon of %s needs snapshots that are only in the archive.',
                training_label_month.as_of, horizon_months
            ),
            hint = format('make restore MONTH=%s, then build it again.', missing);
    end if;
    return label_month;
end
$$;

-- a function that returns other columns cannot be replaced
do $training_set$
declare
    dependents text;
begin
    if exists (
        select from pg_proc
        where
            oid = to_regprocedure('public.training_set(date, integer)')
            and (proargnames[3:], proallargtypes[3:]::regtype[]) is distinct from (
                array['user_id', {% for one in features %}'{{ one.name }}', {% endfor %}'{{ label.name }}'],
                array[
                    'text', {% for one in features %}'{{ one.column.type }}', {% endfor %}'boolean'
                ]::regtype[]
            )
    ) then
        drop function public.training_set(date, integer);
    end if;
exception when dependent_objects_still_exist then
    get stacked diagnostics dependents = pg_exception_detail;
    raise exception using
        message = E'public.training_set gets other columns, but other objects use it:\n' || dependents,
        hint = 'drop them, {{ run_again }}, and create them again. A view on all of the function''s columns depends on it.';
end
$training_set$;

-- One row per user who was delivered for as_of, whose label was not already true then, and whose label was delivered
-- horizon_months later. The query is planned when the function is called, like those of reading.sql.
create or replace function public.training_set(as_of date, horizon_months integer default 1)
returns table (
    user_id text,
    {%- for feature in features %}
    "{{ feature.name }}" {{ feature.column.type }},
    {%- endfor %}
    "{{ label.name }}" boolean
)
language plpgsql stable as $$
declare
    label_month date := public.training_label_month(as_of, horizon_months);
begin
    if horizon_months = 0 then
        raise warning 'horizon 0: the labels are of the same month as the features. Nothing is predicted.';
    end if;
    return query execute
    $set$
    {% filter indent(4) -%}
    {{ training_rows(root, label) }}

select
    eligible_users.user_id,
    {%- for feature in features %}
    {{ 'eligible_users' if feature.table == root else feature.table.name }}.{{ feature.column.name }},
    {%- endfor %}
    observed_labels.{{ label.name }}
from eligible_users
inner join observed_labels on eligible_users.user_id = observed_labels.user_id
{%- for table in features | map(attribute='table') | unique if table != root %}
left join public.{{ table.snapshots }} as {{ table.name }}
    on eligible_users.user_id = {{ table.name }}.user_id and {{ table.name }}.as_of = $1
{%- endfor %}
    {%- endfilter %}
    $set$ using as_of, label_month;
end
$$;

-- How many users are eligible, and how many of their labels are true, false, and unknown.
create or replace function public.training_set_counts(as_of date, horizon_months integer default 1)
returns table (eligible bigint, positive bigint, negative bigint, unknown bigint)
language plpgsql stable as $$
declare
    label_month date := public.training_label_month(as_of, horizon_months);
begin
    return query execute
    $counts$
    {% filter indent(4) -%}
    {{ training_rows(root, label) }}

select
    count(*),
    count(*) filter (where observed_labels.{{ label.name }}),
    count(*) filter (where not observed_labels.{{ label.name }}),
    count(*) filter (where observed_labels.user_id is null)
from eligible_users
left join observed_labels on eligible_users.user_id = observed_labels.user_id
    {%- endfilter %}
    $counts$ using as_of, label_month;
end
$$;
{% endif %}

-- The training sets that a sealed month completes: the one whose labels are of it, and, if a later
-- month was sealed before it, the one whose features are of it. The second is built only once.
--
-- takes:  the ledger; the record of training sets; the parameters sealed, the month, horizon, and
--         features and labels, the months that are horizon months before and after it
-- leaves: a query with one row per set: the month of its features
select as_of from public.sealed_months where as_of = {{ 'features' | parameter }}
union
select features.as_of
from public.sealed_months as features
inner join public.sealed_months as labels on labels.as_of = {{ 'labels' | parameter }}
left join public.training_sets as built
    on features.as_of = built.as_of and built.horizon_months = {{ 'horizon' | parameter }}
where features.as_of = {{ 'sealed' | parameter }} and built.as_of is null
order by as_of;

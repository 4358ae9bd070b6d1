-- The recorded training sets that have features or labels of a month.
--
-- takes:  the record of training sets; the parameter month
-- leaves: a query with one row per set: the month of its features, its horizon, and the sources of
--         its newest revision that were restated since
select distinct on (as_of, horizon_months)
    as_of::text,
    horizon_months,
    restated
from public.training_sets
inner join public.training_sets_status using (as_of, horizon_months, revision)
where {{ 'month' | parameter }} in (as_of, label_as_of)
order by as_of asc, horizon_months asc, revision desc;

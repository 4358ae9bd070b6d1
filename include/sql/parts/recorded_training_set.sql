-- What is recorded of a training set.
--
-- takes:  the record of training sets; the parameters as_of, the month of the features, and horizon
-- leaves: a query with the set's newest revision; no row if the set was never recorded
select
    revision,
    columns,
    content_sha256,
    file_sha256,
    file_writer,
    package_version,
    built_at::date::text as built_on,
    restated
from public.training_sets
inner join public.training_sets_status using (as_of, horizon_months, revision)
where as_of = {{ 'as_of' | parameter }} and horizon_months = {{ 'horizon' | parameter }}
order by revision desc
limit 1;

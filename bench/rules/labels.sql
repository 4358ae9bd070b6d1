-- The rules of include/tables/labels/expectations.json, one per line, in order: how often each is broken.
-- Bounds that the package takes from the previous month are constants here, but the figures are still computed.
set work_mem = '256MB';

select
    (select string_agg(attname, ' ' order by attnum) <> 'user_id churn_label' from pg_attribute where attrelid = 'staging.labels'::regclass and attnum > 0 and not attisdropped)::int as columns,
    (count(*) < 1)::int as row_count,
    count(*) filter (where user_id is null) as user_id_null,
    count(user_id) - count(distinct user_id) as user_id_unique,
    count(*) filter (where churn_label is null) as churn_label_null,
    (count(churn_label)::numeric / count(*) not between 0 and 1)::int as churn_label_share
from staging.labels;

-- The rules of include/tables/payments_agg_90d/expectations.json, one per line, in order: how often each is broken.
-- Bounds that the package takes from the previous month are constants here, but the figures are still computed.
set work_mem = '256MB';

select
    (select string_agg(attname, ' ' order by attnum) <> 'user_id failed_payments_90d' from pg_attribute where attrelid = 'staging.payments_agg_90d'::regclass and attnum > 0 and not attisdropped)::int as columns,
    (count(*) < 1)::int as row_count,
    count(*) filter (where user_id is null) as user_id_null,
    count(user_id) - count(distinct user_id) as user_id_unique,
    count(*) filter (where failed_payments_90d not between 0 and 10000) as failed_payments_90d_between,
    (count(failed_payments_90d)::numeric / count(*) not between 0 and 1)::int as failed_payments_90d_share,
    (avg(failed_payments_90d) not between 0 and 1000000)::int as failed_payments_90d_mean
from staging.payments_agg_90d;

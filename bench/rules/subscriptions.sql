-- The rules of include/tables/subscriptions/expectations.json, one per line, in order: how often each is broken.
-- Bounds that the package takes from the previous month are constants here, but the figures are still computed.
set work_mem = '256MB';

select
    (select string_agg(attname, ' ' order by attnum) <> 'user_id months_active plan_stream_tv plan_stream_movies contract_type paperless_billing monthly_fee total_paid net_service add_on_security add_on_backup add_on_device_protect add_on_support' from pg_attribute where attrelid = 'staging.subscriptions'::regclass and attnum > 0 and not attisdropped)::int as columns,
    (count(*) < 1)::int as row_count,
    count(*) filter (where user_id is null) as user_id_null,
    count(user_id) - count(distinct user_id) as user_id_unique,
    count(*) filter (where contract_type not in ('Month-to-month', 'One year', 'Two year')) as contract_type_set,
    count(*) filter (where net_service not in ('DSL', 'Fiber optic', 'No')) as net_service_set,
    count(*) filter (where (net_service = 'No') is distinct from (plan_stream_tv is null) or (net_service = 'No') is distinct from (plan_stream_movies is null)) as no_internet_no_plans,
    count(*) filter (where months_active not between 0 and 1200) as months_active_between,
    count(*) filter (where monthly_fee not between 0 and 10000) as monthly_fee_between,
    count(*) filter (where total_paid not between 0 and 10000000) as total_paid_between,
    (count(months_active)::numeric / count(*) not between 0 and 1)::int as months_active_share,
    (count(plan_stream_tv)::numeric / count(*) not between 0 and 1)::int as plan_stream_tv_share,
    (count(plan_stream_movies)::numeric / count(*) not between 0 and 1)::int as plan_stream_movies_share,
    (count(contract_type)::numeric / count(*) not between 0 and 1)::int as contract_type_share,
    (count(paperless_billing)::numeric / count(*) not between 0 and 1)::int as paperless_billing_share,
    (count(monthly_fee)::numeric / count(*) not between 0 and 1)::int as monthly_fee_share,
    (count(total_paid)::numeric / count(*) not between 0 and 1)::int as total_paid_share,
    (count(net_service)::numeric / count(*) not between 0 and 1)::int as net_service_share,
    (count(add_on_security)::numeric / count(*) not between 0 and 1)::int as add_on_security_share,
    (count(add_on_backup)::numeric / count(*) not between 0 and 1)::int as add_on_backup_share,
    (count(add_on_device_protect)::numeric / count(*) not between 0 and 1)::int as add_on_device_protect_share,
    (count(add_on_support)::numeric / count(*) not between 0 and 1)::int as add_on_support_share,
    (avg(months_active) not between 0 and 1000000)::int as months_active_mean,
    (avg(monthly_fee) not between 0 and 1000000)::int as monthly_fee_mean,
    (avg(total_paid) not between 0 and 1000000)::int as total_paid_mean
from staging.subscriptions;

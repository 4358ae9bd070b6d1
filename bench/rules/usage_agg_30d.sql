-- The rules of include/tables/usage_agg_30d/expectations.json, one per line, in order: how often each is broken.
-- Bounds that the package takes from the previous month are constants here, but the figures are still computed.
set work_mem = '256MB';

select
    (select string_agg(attname, ' ' order by attnum) <> 'user_id watch_hours_30d avg_session_mins_7d unique_devices_30d skips_7d rebuffer_events_7d' from pg_attribute where attrelid = 'staging.usage_agg_30d'::regclass and attnum > 0 and not attisdropped)::int as columns,
    (count(*) < 1)::int as row_count,
    count(*) filter (where user_id is null) as user_id_null,
    count(user_id) - count(distinct user_id) as user_id_unique,
    count(*) filter (where watch_hours_30d not between 0 and 720) as watch_hours_30d_between,
    count(*) filter (where avg_session_mins_7d not between 0 and 10080) as avg_session_mins_7d_between,
    count(*) filter (where unique_devices_30d not between 0 and 10000) as unique_devices_30d_between,
    count(*) filter (where skips_7d not between 0 and 1000000) as skips_7d_between,
    count(*) filter (where rebuffer_events_7d not between 0 and 1000000) as rebuffer_events_7d_between,
    (count(watch_hours_30d)::numeric / count(*) not between 0 and 1)::int as watch_hours_30d_share,
    (count(avg_session_mins_7d)::numeric / count(*) not between 0 and 1)::int as avg_session_mins_7d_share,
    (count(unique_devices_30d)::numeric / count(*) not between 0 and 1)::int as unique_devices_30d_share,
    (count(skips_7d)::numeric / count(*) not between 0 and 1)::int as skips_7d_share,
    (count(rebuffer_events_7d)::numeric / count(*) not between 0 and 1)::int as rebuffer_events_7d_share,
    (avg(watch_hours_30d) not between 0 and 1000000)::int as watch_hours_30d_mean,
    (avg(avg_session_mins_7d) not between 0 and 1000000)::int as avg_session_mins_7d_mean,
    (avg(unique_devices_30d) not between 0 and 1000000)::int as unique_devices_30d_mean,
    (avg(skips_7d) not between 0 and 1000000)::int as skips_7d_mean,
    (avg(rebuffer_events_7d) not between 0 and 1000000)::int as rebuffer_events_7d_mean
from staging.usage_agg_30d;

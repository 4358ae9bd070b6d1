-- The rules of include/tables/support_agg_90d/expectations.json, one per line, in order: how often each is broken.
-- Bounds that the package takes from the previous month are constants here, but the figures are still computed.
set work_mem = '256MB';

select
    (select string_agg(attname, ' ' order by attnum) <> 'user_id support_tickets_90d ticket_avg_resolution_hrs_90d' from pg_attribute where attrelid = 'staging.support_agg_90d'::regclass and attnum > 0 and not attisdropped)::int as columns,
    (count(*) < 1)::int as row_count,
    count(*) filter (where user_id is null) as user_id_null,
    count(user_id) - count(distinct user_id) as user_id_unique,
    count(*) filter (where support_tickets_90d not between 0 and 10000) as support_tickets_90d_between,
    count(*) filter (where ticket_avg_resolution_hrs_90d not between 0 and 100000) as ticket_avg_resolution_hrs_90d_between,
    (count(support_tickets_90d)::numeric / count(*) not between 0 and 1)::int as support_tickets_90d_share,
    (count(ticket_avg_resolution_hrs_90d)::numeric / count(*) not between 0 and 1)::int as ticket_avg_resolution_hrs_90d_share,
    (avg(support_tickets_90d) not between 0 and 1000000)::int as support_tickets_90d_mean,
    (avg(ticket_avg_resolution_hrs_90d) not between 0 and 1000000)::int as ticket_avg_resolution_hrs_90d_mean
from staging.support_agg_90d;

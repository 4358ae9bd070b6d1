-- The rules of include/tables/users/expectations.json, one per line, in order: how often each is broken.
-- Bounds that the package takes from the previous month are constants here, but the figures are still computed.
set work_mem = '256MB';

select
    (select string_agg(attname, ' ' order by attnum) <> 'user_id signup_date user_gender user_is_senior has_family has_dependents' from pg_attribute where attrelid = 'staging.users'::regclass and attnum > 0 and not attisdropped)::int as columns,
    (count(*) < 1)::int as row_count,
    count(*) filter (where user_id is null) as user_id_null,
    count(user_id) - count(distinct user_id) as user_id_unique,
    count(*) filter (where length(user_id) not between 1 and 64) as user_id_length,
    count(*) filter (where user_id ~ '^\s|\s$') as user_id_space,
    count(*) filter (where user_id !~ '^[0-9A-Za-z]+(-[0-9A-Za-z]+)*$') as user_id_form,
    (select count(*) from (select from staging.users group by lower(user_id) having min(user_id) <> max(user_id)) as twins) as user_id_case,
    count(*) filter (where signup_date is null) as signup_date_null,
    count(*) filter (where signup_date not between '2000-01-01' and :'as_of') as signup_date_between,
    count(*) filter (where user_gender not in ('Female', 'Male')) as user_gender_set,
    (count(signup_date)::numeric / count(*) not between 0 and 1)::int as signup_date_share,
    (count(user_gender)::numeric / count(*) not between 0 and 1)::int as user_gender_share,
    (count(user_is_senior)::numeric / count(*) not between 0 and 1)::int as user_is_senior_share,
    (count(has_family)::numeric / count(*) not between 0 and 1)::int as has_family_share,
    (count(has_dependents)::numeric / count(*) not between 0 and 1)::int as has_dependents_share
from staging.users;

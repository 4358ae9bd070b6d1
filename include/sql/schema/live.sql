-- The six live tables: the newest sealed snapshot, one row per user.
--
-- takes:  nothing
-- leaves: public.users and the five tables that refer to it; existing tables keep their columns and rows

create table if not exists public.users (
    user_id text primary key,
    signup_date date,
    user_gender text,
    user_is_senior boolean,
    has_family boolean,
    has_dependents boolean
);

create table if not exists public.subscriptions (
    user_id text primary key references public.users (user_id) on delete cascade,
    months_active integer,
    plan_stream_tv boolean,
    plan_stream_movies boolean,
    contract_type text,
    paperless_billing boolean,
    monthly_fee numeric,
    total_paid numeric,
    net_service text,
    add_on_security boolean,
    add_on_backup boolean,
    add_on_device_protect boolean,
    add_on_support boolean
);

create table if not exists public.usage_agg_30d (
    user_id text primary key references public.users (user_id) on delete cascade,
    watch_hours_30d numeric,
    avg_session_mins_7d numeric,
    unique_devices_30d integer,
    skips_7d integer,
    rebuffer_events_7d integer
);

create table if not exists public.payments_agg_90d (
    user_id text primary key references public.users (user_id) on delete cascade,
    failed_payments_90d integer
);

create table if not exists public.support_agg_90d (
    user_id text primary key references public.users (user_id) on delete cascade,
    support_tickets_90d integer,
    ticket_avg_resolution_hrs_90d numeric
);

create table if not exists public.labels (
    user_id text primary key references public.users (user_id) on delete cascade,
    churn_label boolean
);

-- room on each page for the rows that a month changes: they stay there, and the keys need not follow them
{%- for table in tables.values() %}
alter table public.{{ table.name }} set (fillfactor = 70);
{%- endfor %}

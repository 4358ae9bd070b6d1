-- Live and snapshots, keys and foreign keys in place.
create schema staging;

create table public.users (
    user_id text primary key,
    signup_date date,
    user_gender text,
    user_is_senior boolean,
    has_family boolean,
    has_dependents boolean
);

create table public.subscriptions (
    user_id text primary key references public.users,
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

create table public.usage_agg_30d (
    user_id text primary key references public.users,
    watch_hours_30d numeric,
    avg_session_mins_7d numeric,
    unique_devices_30d integer,
    skips_7d integer,
    rebuffer_events_7d integer
);

create table public.payments_agg_90d (
    user_id text primary key references public.users,
    failed_payments_90d integer
);

create table public.support_agg_90d (
    user_id text primary key references public.users,
    support_tickets_90d integer,
    ticket_avg_resolution_hrs_90d numeric
);

create table public.labels (
    user_id text primary key references public.users,
    churn_label boolean
);
{% for table in tables.values() %}
create table public.{{ table.snapshots }} (
    like public.{{ table.name }},
    as_of date not null,
    source_as_of date not null,
    primary key (user_id, as_of)
) partition by list (as_of);
{% endfor %}

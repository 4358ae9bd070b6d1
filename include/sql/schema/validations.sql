-- The log of validations: what each one found, whether it passed or failed. The pages in Airflow's UI read it. No step
-- of a month does, so it says nothing about what is sealed.
--
-- takes:  nothing
-- leaves: public.validations, one row per validation, only ever added to

create table if not exists public.validations (
    as_of date,
    table_name text,
    checked_at timestamptz default now(),
    run_id text not null,
    file_name text not null,
    file_bytes bigint not null,
    file_sha256 text not null,
    delivered bigint not null,
    is_passed boolean not null,
    facts text[] not null,
    result jsonb not null check (jsonb_typeof(result) = 'array'),
    delivered_values jsonb not null check (jsonb_typeof(delivered_values) = 'object'),
    primary key (as_of, table_name, checked_at)
);

comment on table public.validations is
'one row per validation, also of refused files: a log, and no part of what is sealed';
comment on column public.validations.is_passed is
'whether the file went on; a file that the month is sealed with does, even if rules are broken by now';
comment on column public.validations.result is
'the suite''s result, an object per rule. It has no delivered values';
comment on column public.validations.delivered_values is
'what the result says with values, by the rule''s position in it; empty if AIRFLOW__STREAMFLOW__SHOW_VALUES was off';

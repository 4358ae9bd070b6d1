-- The log of questions: what the gate has asked a person, and what would change. The pages in Airflow's UI read it. No
-- step of a month does, so it says nothing about what is sealed. The ledger has the approvals.
--
-- takes:  nothing
-- leaves: public.questions, one row per question, only ever added to

create table if not exists public.questions (
    as_of date,
    asked_at timestamptz default now(),
    run_id text not null,
    builds text not null,
    reason text not null,
    details text[] not null,
    cells jsonb not null check (jsonb_typeof(cells) = 'array'),
    primary key (as_of, asked_at)
);

comment on table public.questions is
'one row per question that the gate has asked a person: a log, and no part of what is sealed';
comment on column public.questions.builds is
'the builds that the question was about: an approval is for no others';
comment on column public.questions.cells is
'the first cells of sealed months that would change; empty if AIRFLOW__STREAMFLOW__SHOW_VALUES was off';

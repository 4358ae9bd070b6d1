-- What the database knows about deliveries until their month is sealed. The owner owns all staging tables and builds.
-- The pipeline can fill them until they are finished, but can create or alter them only through the owner's functions.
--
-- takes:  the empty schema staging
-- leaves: three small tables in it, and a type. They are unlogged like the staging tables: a server crash empties both
--         the staging tables and the records about them

-- Which run has a month: the run that claimed it last. unfinished_runs are those that had it before and did not finish.
create unlogged table if not exists staging.runs (
    as_of date primary key,
    run_id text not null,
    claimed_at timestamptz not null default now(),
    unfinished_runs text[] not null default '{}',
    first_claimed_at timestamptz not null default now()
);

-- One row per staged file. A load writes it, a passed validation marks it.
create unlogged table if not exists staging.files (
    as_of date,
    table_name text,
    file_name text not null,
    file_bytes bigint not null,
    file_sha256 text not null,
    not_delivered text[] not null check (array_position(not_delivered, null) is null),
    delivered bigint not null,
    is_validated boolean not null default false,
    warnings text[] not null default '{}',
    asks text[] not null default '{}',
    profile jsonb not null default '{}',
    suppressed bigint not null default 0,
    erasures bigint not null default 0,
    primary key (as_of, table_name)
);

comment on column staging.files.asks is 'the broken rules that a person decides about, one sentence each';
comment on column staging.files.suppressed is 'rows that were left out because their users are erased';
comment on column staging.files.erasures is 'staging.erasures_known() when the file was loaded';

-- The counts of a snapshot, and whether it is state(k).
create type staging.counts as (
    delivered bigint,
    inserted bigint,
    updated bigint,
    carried_forward bigint,
    snapshot_checksum numeric,
    is_state boolean
);

-- One row per build. Only the owner's functions write it.
create unlogged table if not exists staging.builds (
    as_of date,
    table_name text,
    run_id text not null,
    build_id uuid not null,
    file_sha256 text not null,
    not_delivered text[] not null,
    base bigint not null,
    previous date,
    is_sealed boolean not null,
    is_built boolean not null,
    counts staging.counts,
    primary key (as_of, table_name)
);

comment on column staging.builds.build_id is 'a new one whenever the table is built again';
comment on column staging.builds.base is 'rows of the ledger when the build began; a seal since then would add to them';
comment on column staging.builds.previous is 'the nearest earlier sealed month';
comment on column staging.builds.is_built is
'false: nothing is built, because the month is sealed with this file and not restated';
comment on column staging.builds.counts is 'NULL until the build is finished';

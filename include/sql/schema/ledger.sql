-- The ledger: what was delivered, what it changed, and what each sealed snapshot held.
--
-- takes:  nothing
-- leaves: public.deliveries, one row per month, table, and revision, append-only; the view
--         public.current_deliveries with the newest revision of each

create table if not exists public.deliveries (
    as_of date,
    table_name text,
    revision integer,
    file_name text not null,
    file_bytes bigint not null,
    file_sha256 text not null,
    not_delivered text[] not null,
    delivered bigint not null,
    inserted bigint not null,
    updated bigint not null,
    unchanged bigint not null,
    carried_forward bigint not null,
    snapshot_rows bigint not null,
    snapshot_checksum numeric not null,
    run_id text not null,
    sealed_at timestamptz not null default now(),
    warnings text[] not null default '{}',
    profile jsonb not null default '{}',
    columns text[] not null,
    checksum_version integer not null default 1 check (checksum_version = 1),
    package_version text,
    approved_by text,
    approved_at timestamptz,
    approval_reason text,
    kind text not null default 'delivery' check (kind in ('delivery', 'restatement', 'erasure')),
    suppressed bigint not null default 0,
    erased bigint not null default 0,
    primary key (as_of, table_name, revision),
    constraint deliveries_file_adds_up check (delivered = inserted + updated + unchanged + suppressed),
    constraint deliveries_snapshot_adds_up check (snapshot_rows = delivered - suppressed + carried_forward)
);

comment on column public.deliveries.not_delivered is
'optional columns that the file left out: their stored values were kept';
comment on column public.deliveries.inserted is
'delivered users that the nearest earlier snapshot did not have when this revision was sealed';
comment on column public.deliveries.updated is
'delivered users whose row differed from the nearest earlier snapshot''s when this revision was sealed';
comment on column public.deliveries.carried_forward is
'users of the nearest earlier snapshot that the file did not have: their rows were kept';
comment on column public.deliveries.snapshot_checksum is
'version 1: the sum over all rows of hashtextextended(row(columns, as_of, source_as_of)::text, 0)';
comment on column public.deliveries.columns is
'live''s columns when this revision was sealed, in order: the columns that the checksum covers. Columns that came later
are NULL in the snapshot';
comment on column public.deliveries.warnings is
'what was unusual but allowed: broken rules of severity warning and the gate''s warnings, one sentence each';
comment on column public.deliveries.profile is
'of the delivered rows: the mean of each numeric column and the share of each column that is not null, to compare the
next month with';
comment on column public.deliveries.package_version is
'the version of the package that sealed this revision; NULL if that was before the ledger kept it';

comment on column public.deliveries.approved_by is
'the person who approved this revision when the gate asked; NULL if no one was asked';
comment on column public.deliveries.approval_reason is
'why, in the words of that person; may be empty, but not for an erasure';
comment on column public.deliveries.kind is
'delivery: the first revision; restatement: the month, or one before it, was delivered later or again; erasure: users
were erased';
comment on column public.deliveries.suppressed is
'rows of the file that are not in the snapshot because their users are erased';
comment on column public.deliveries.erased is
'rows that this revision has removed from the snapshot, because their users were erased';

-- A column that came later counts as not delivered by earlier files.
create or replace view public.current_deliveries as
with
ledger as (
    select
        *,
        not_delivered || array(
            select attname::text collate "default"
            from pg_attribute
            where
                attrelid = to_regclass(format('public.%I', table_name))
                and attnum > 0 and not attisdropped and attname <> all(columns)
            order by attnum
        ) as left_out
    from public.deliveries
)

select distinct on (as_of, table_name)
    as_of, table_name, revision, file_name, file_bytes, file_sha256,
    left_out as not_delivered,
    delivered, inserted, updated, unchanged, carried_forward, snapshot_rows, snapshot_checksum,
    run_id, sealed_at, warnings, profile, columns, checksum_version, package_version,
    approved_by, approved_at, approval_reason,
    kind, suppressed, erased
from ledger
order by as_of asc, table_name asc, revision desc;

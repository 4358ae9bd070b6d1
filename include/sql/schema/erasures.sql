-- Who was erased, without saying who: a keyed hash of each user_id. The key is never in the database.
--
-- takes:  nothing
-- leaves: public.erasures, one row per erasure and user; public.erasure_months, what each erasure removes, in numbers;
--         staging.erasures_known and staging.assert_no_erasure_since, which keep files that were loaded before an
--         erasure from being sealed after it

create table if not exists public.erasures (
    erasure_id uuid,
    user_hash bytea,
    user_bucket text not null,
    key_fingerprint text not null,
    reason text not null check (btrim(reason) <> ''),
    approved_by text not null check (btrim(approved_by) <> ''),
    approved_at timestamptz not null,
    run_id text not null,
    recorded_at timestamptz not null default now(),
    completed_at timestamptz,
    from_as_of date,
    readmitted_by text,
    readmitted_at timestamptz,
    readmission_reason text,
    primary key (erasure_id, user_hash),
    check (num_nulls(from_as_of, readmitted_by, readmitted_at, readmission_reason) in (0, 4))
);

create table if not exists public.erasure_months (
    erasure_id uuid,
    as_of date,
    table_name text,
    inserted bigint not null,
    updated bigint not null,
    unchanged bigint not null,
    carried_forward bigint not null,
    is_recounted boolean not null,
    erased_at timestamptz,
    primary key (erasure_id, as_of, table_name)
);

comment on column public.erasures.user_hash is
'HMAC-SHA256 of the user_id, with the key of the connection streamflow_erasure_key';
comment on column public.erasures.user_bucket is
'4 hex digits of another keyed hash: a load looks only at the users in these buckets';
comment on column public.erasures.key_fingerprint is
'of that key: a run with another key would find no erased user, and is stopped';
comment on column public.erasures.completed_at is
'NULL: the erasure is under way or was interrupted, and no month is sealed until it has ended';
comment on column public.erasures.from_as_of is
'the first month that may have the user again, after a readmission; NULL: none';
comment on column public.erasure_months.inserted is
'rows to remove that the ledger counts as inserted; updated, unchanged, and carried_forward likewise';
comment on column public.erasure_months.is_recounted is
'the month before was sealed after this one, so the ledger''s counts are of another time: all rows are counted again';
comment on column public.erasure_months.erased_at is 'NULL: not done yet';

-- Grows with every erasure and readmission.
create or replace function staging.erasures_known() returns bigint
language sql stable set search_path = pg_catalog, pg_temp as $$
    select count(*) + count(readmitted_at) from public.erasures
$$;

-- Stops a month while an erasure has not ended, and if one was recorded after the month's files, or the file of one
-- table, were loaded.
create or replace function staging.assert_no_erasure_since(month date, of_table text default null) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    perform staging.assert_true(
        not exists (select from public.erasures where completed_at is null),
        format(E'an erasure of users has begun and not ended.\n%s is not sealed in the meantime.', month),
        'wait until it has ended (if it was interrupted, start it again with the same users: docs/erasure.md), then '
        '{{ run_again }}.'
    );
    perform staging.assert_true(
        not exists (
            select from staging.files as file
            where
                file.as_of = month and file.table_name = coalesce(of_table, file.table_name)
                and file.erasures <> staging.erasures_known()
        ),
        format(
            E'users were erased or readmitted after the files of %s were loaded.\n'
            'What was staged may have rows of theirs, and is not used.', month
        )
    );
end
$$;

-- Lets erased users be loaded again, from the month after the newest sealed one. Months until then stay without them,
-- whenever they are loaded or restated: so the result does not depend on the order.
--
-- takes:  the hashes of the users, the key's fingerprint, who readmits them, and why
-- leaves: the readmission beside the erasure; one row: how many users, and the first month that may have them
create or replace function staging.readmit(hashes bytea[], fingerprint text, person text, why text)
returns table (users bigint, from_as_of date)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    first_month date;
begin
    perform staging.assert_true(
        btrim(person) <> '' and btrim(why) <> '',
        'a readmission needs a reason, and a person who decides it', 'start it with both.'
    );
    lock table staging.publish_lock in exclusive mode;
    perform staging.assert_true(
        not exists (select from public.erasures where completed_at is null),
        'an erasure of users has begun and not ended', 'let it end first (docs/erasure.md).'
    );
    perform staging.assert_true(
        not exists (select from public.erasures where key_fingerprint <> fingerprint),
        'users were erased with another key than the one in streamflow_erasure_key',
        'use the key that they were erased with (docs/erasure.md).'
    );
    -- if no month is sealed: any month
    select coalesce((max(as_of) + 1 + interval '1 month')::date - 1, date '0001-01-31') into first_month
    from public.deliveries;
    return query
    with
    readmitted as (
        update public.erasures set
            from_as_of = first_month,
            readmitted_by = person,
            readmitted_at = now(),
            readmission_reason = why
        where user_hash = any(hashes) and readmitted_at is null
        returning user_hash
    )

    select count(distinct user_hash), first_month from readmitted;
end
$$;

-- Begins an erasure: records who is to be erased, as hashes, and what there is to remove, as numbers. From here on a
-- delivery leaves the users out, and no month is sealed until the erasure has ended.
--
-- takes:  the users, their hashes and buckets; the key's fingerprint; the approval (by, at, why), without which no one
--         is erased
-- leaves: the rows of public.erasures and public.erasure_months; returns the erasure's id: that of an interrupted
--         erasure of the same users, so that it goes on, or NULL if they are erased already and have no rows
create or replace function staging.record_erasure(
    users text[], hashes bytea[], buckets text[], fingerprint text, approval jsonb, run text
) returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    unfinished record;
    erasure uuid := gen_random_uuid();
begin
    perform staging.assert_true(
        current_setting('transaction_isolation') = 'read committed',
        'record_erasure needs isolation level read committed'
    );
    perform staging.assert_true(
        btrim(approval ->> 'by') <> '' and approval ->> 'at' is not null and btrim(approval ->> 'why') <> '',
        'an erasure needs a reason, and a person who has approved it', 'start it with both.'
    );
    perform staging.assert_true(
        cardinality(users) > 0 and cardinality(users) = cardinality(hashes)
        and cardinality(users) = cardinality(buckets)
        and array_position(users, null) is null and array_position(hashes, null) is null
        and cardinality(users) = (select count(distinct hash) from unnest(hashes) as hash),
        'an erasure needs one hash and one bucket per user', 'start it with make erase, or the DAG streamflow_erase.'
    );
    lock table staging.publish_lock in exclusive mode;
    perform staging.assert_true(
        not exists (select from public.erasures where key_fingerprint <> fingerprint),
        'users were erased with another key than the one in streamflow_erasure_key',
        'use the key that they were erased with (docs/erasure.md).'
    );
    select erasure_id, array_agg(user_hash order by user_hash) as user_hashes into unfinished
    from public.erasures
    where completed_at is null
    group by erasure_id;
    if found then
        perform staging.assert_true(
            unfinished.user_hashes = array(select hash from unnest(hashes) as hash order by hash),
            format(
                'an erasure of %s user(s) has begun and not ended, and these are other users',
                cardinality(unfinished.user_hashes)
            ),
            'start it again with the same users first; then erase these.'
        );
        return unfinished.erasure_id;
    end if;

    insert into public.erasure_months
    (erasure_id, as_of, table_name, inserted, updated, unchanged, carried_forward, is_recounted)
    select erasure, counted.* from staging.count_erased(users) as counted;
    if not found and not exists (
        select from unnest(hashes) as hash
        where hash not in (select user_hash from public.erasures where readmitted_at is null)
    ) then
        return null;
    end if;
    insert into public.erasures
    (erasure_id, user_hash, user_bucket, key_fingerprint, reason, approved_by, approved_at, run_id)
    select
        erasure,
        hash,
        bucket,
        fingerprint,
        approval ->> 'why',
        approval ->> 'by',
        (approval ->> 'at')::timestamptz,
        run
    from unnest(hashes, buckets) as listed (hash, bucket);
    return erasure;
end
$$;

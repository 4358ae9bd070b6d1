-- The users whose rows a month's delivery must not bring: those who are erased, and not readmitted by then.
--
-- takes:  public.erasures; the parameter month
-- leaves: a query with a row per user: hash, bucket, and the fingerprint of the key that they were made with
select user_hash, user_bucket, key_fingerprint
from public.erasures
where {{ 'month' | parameter }}::date < coalesce(from_as_of, 'infinity');

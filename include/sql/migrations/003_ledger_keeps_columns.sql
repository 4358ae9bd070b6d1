-- Each revision keeps which columns, and which version of the checksum, it covers. Until here all columns of live.
alter table public.deliveries
add column columns text[],
add column checksum_version integer not null default 1 check (checksum_version = 1);

update public.deliveries
set columns = array(
    select attname::text
    from pg_attribute
    where attrelid = to_regclass(format('public.%I', table_name)) and attnum > 0 and not attisdropped
    order by attnum
);

alter table public.deliveries alter column columns set not null;

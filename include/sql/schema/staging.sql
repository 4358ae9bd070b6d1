-- Where deliveries are staged, and what is known of them until their month is sealed.
--
-- takes:  the empty schema
-- leaves: in schema staging three small tables and the functions that the month's SQL calls. The staged tables are
--         the owner's: whoever loads them can fill them and can neither make nor shape one, except by these functions

-- Which run stages a month: the one that started last. Unlogged as the staged tables are, so that a crash of the
-- server, which empties those, empties what is said about them too.
create unlogged table if not exists staging.runs (
    as_of date primary key,
    run_id text not null
);

alter table staging.runs
add column if not exists claimed_at timestamptz not null default now();

-- One row per staged file. A load writes it, a passed validation marks it.
create unlogged table if not exists staging.files (
    as_of date,
    table_name text,
    file_name text not null,
    file_bytes bigint not null,
    file_sha256 text not null,
    not_delivered text[] not null,
    delivered bigint not null,
    is_validated boolean not null default false,
    primary key (as_of, table_name)
);

alter table staging.files
add column if not exists warnings text[] not null default '{}',
add column if not exists profile jsonb not null default '{}';

-- One row per live table that an upsert has brought ahead of the newest sealed month: which file did,
-- and what changed. Sealing a month empties it, so an empty table means that live is the newest snapshot.
create table if not exists staging.live_claims (
    table_name text primary key,
    as_of date not null,
    file_sha256 text not null,
    inserted bigint,
    updated bigint
);

-- Claims that are of the very delivery that is staged, not of an earlier one of the same month.
create or replace view staging.own_claims as
select claim.*, file.not_delivered
from staging.live_claims as claim
inner join staging.files as file using (as_of, table_name, file_sha256);

-- what earlier versions had
drop function if exists staging.lift_keys(text), staging.set_keys(text), staging.require_child(text);
drop function if exists staging.require(boolean, text);

-- Stops the transaction with a message, and what to do as its hint, unless the condition holds.
create or replace function staging.require(
    condition boolean, message text, to_do text default '{{ run_again }}.'
) returns void
language plpgsql as $$
begin
    if condition is not true then
        raise exception using message = message, hint = to_do;
    end if;
end
$$;

-- Stops a run whose month another one has taken over.
create or replace function staging.require_run(month date, run text) returns void
language sql as $$
    select staging.require(
        found.run_id is not distinct from run,
        coalesce(
            'run ' || found.run_id || ' has taken over the month ' || month || E',\nas it was started after this one ('
            || run || E').\nNothing more is written here.',
            'nothing is staged for ' || month || ' any more'
        ),
        case when found.run_id is not null then 'let that run finish, or ' else '' end || '{{ run_again }}.'
    )
    from (values (month)) as asked (as_of)
    left join staging.runs as found using (as_of);
$$;

-- The name of a month's staged table. Stops what is no table of a delivery: names reach the owner's functions only
-- through here.
create or replace function staging.staged_name(table_name text, month date) returns text
language plpgsql as $$
begin
    perform staging.require(
        table_name in (
            {%- for table in tables.values() %}
            '{{ table.name }}'{{ ',' if not loop.last }}
            {%- endfor %}
        ),
        table_name || ' is no table of a delivery'
    );
    return table_name || '_' || to_char(month, 'YYYYMMDD');
end
$$;

-- Keeps a month's staged tables as they are until the transaction ends.
create or replace function staging.lock_staged(month date) returns void
language plpgsql as $$
declare
    table_name text;
begin
    foreach table_name in array array[
        {%- for table in tables.values() %}
        '{{ table.name }}'{{ ',' if not loop.last }}
        {%- endfor %}
    ] loop
        begin
            execute format('lock table staging.%I in access share mode', staging.staged_name(table_name, month));
        exception
            when undefined_table then null;  -- that it is not staged is said by who counts them
        end;
    end loop;
end
$$;

-- Makes a table's empty staging table, with live's columns and none of its constraints.
create or replace function staging.create_staging_table(month date, table_name text, run text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    staged text := staging.staged_name(table_name, month);
begin
    -- after a crash of the server no run has the month
    insert into staging.runs (as_of, run_id) values (month, run) on conflict (as_of) do nothing;
    perform from staging.runs where as_of = month for update;  -- one at a time
    perform staging.require_run(month, run);
    delete from staging.files as file where file.as_of = month and file.table_name = create_staging_table.table_name;
    execute format('drop table if exists staging.%I', staged);
    execute format('create unlogged table staging.%I (like public.%I)', staged, table_name);
    -- a missing value is the suite's to find, with its line and a reason, not the type's
    execute format('alter table staging.%I alter column user_id drop not null', staged);
    if to_regrole('streamflow_ingest') is not null then
        execute format('grant select, insert on staging.%I to streamflow_ingest', staged);
    end if;
end
$$;

-- Drops what a run has staged, unless another one has taken over the month.
create or replace function staging.release(month date, run text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    staged text;
begin
    delete from staging.runs where as_of = month and run_id = run;
    if found then
        for staged in
            delete from staging.files where as_of = month
            returning staging.staged_name(table_name, as_of)
        loop
            execute format('drop table if exists staging.%I', staged);
        end loop;
    end if;
end
$$;

-- Makes the empty, unkeyed table that a new month's snapshot is written into. A sealed month has it already.
create or replace function staging.create_partition(snapshots text, as_of date) returns void
language plpgsql as $$
declare
    partition text := format('%s_%s', snapshots, to_char(as_of, 'YYYYMMDD'));
begin
    if to_regclass(format('public.%I', partition)) is null then
        execute format('create table public.%I (like public.%I)', partition, snapshots);
    end if;
end
$$;

-- Keys the written table and makes it the month's partition. The check spares the scan of attaching.
create or replace function staging.attach_partition(snapshots text, as_of date) returns void
language plpgsql as $$
declare
    partition text := format('%s_%s', snapshots, to_char(as_of, 'YYYYMMDD'));
begin
    if exists (select from pg_inherits where inhrelid = format('public.%I', partition)::regclass) then
        return;
    end if;
    execute format('alter table public.%I add primary key (user_id, as_of)', partition);
    execute format('alter table public.%I add constraint as_of check (as_of = %L)', partition, as_of);
    execute format(
        'alter table public.%I attach partition public.%I for values in (%L)', snapshots, partition, as_of
    );
    execute format('alter table public.%I drop constraint as_of', partition);
end
$$;

-- Stops what is no staged table of a table.
create or replace function staging.assert_staged(table_name text, staged text) returns void
language sql as $$
    select staging.require(
        staged ~ '_\d{8}$'
        and staged = staging.staged_name(table_name, to_date(right(staged, 8), 'YYYYMMDD')),
        staged || ' is no staged table of ' || table_name
    );
$$;

-- Gives an empty staging table the columns that a file's header names, and the optional ones that it leaves out:
-- live's types for known names, text for others, and for dates until read_dates has read them.
create or replace function staging.mirror_header(
    table_name text, staged text, header text[], optional text[]
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    this regclass;
    live regclass;
    missing record;
begin
    perform staging.assert_staged(table_name, staged);
    this := format('staging.%I', staged);
    live := format('public.%I', table_name);
    execute format('truncate %s', this);
    for missing in
        select name, coalesce(format_type(known.atttypid, known.atttypmod), 'text') as type
        from unnest(header || optional) as name
        left join pg_attribute as known
            on known.attrelid = live and known.attname = name and known.attnum > 0 and not known.attisdropped
        where name not in (select attname from pg_attribute where attrelid = this and not attisdropped)
        group by name, type
    loop
        execute format('alter table %s add column %I %s', this, missing.name, missing.type);
    end loop;
    for missing in
        select attname as name from pg_attribute
        where
            attrelid = this and attnum > 0 and not attisdropped
            and attname <> all(header || optional)
    loop
        execute format('alter table %s drop column %I', this, missing.name);
    end loop;
    for missing in
        select attname as name from pg_attribute where attrelid = this and atttypid = 'date'::regtype
    loop
        execute format('alter table %s alter column %I type text', this, missing.name);
    end loop;
end
$$;

-- Whether a text that PostgreSQL reads as a date is written as YYYY-MM-DD; infinity and 44 BC are not. Where it is
-- called DateStyle is ISO. It is so plain that it costs no more than the comparison itself.
create or replace function staging.is_date(value text) returns boolean
language sql stable as $$ select value::date::text = value and length(value) = 10 $$;

-- Makes dates of what a file has in live's columns of dates. They are as PostgreSQL writes them, 2024-01-31: its
-- reading would make the year 2005 of 05-01-24, and of the word yesterday what the day of the load says.
create or replace function staging.read_dates(table_name text, staged text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp set datestyle = 'ISO' as $$
declare
    this regclass;
    live regclass;
    read record;
    is_other boolean;
begin
    perform staging.assert_staged(table_name, staged);
    this := format('staging.%I', staged);
    live := format('public.%I', table_name);
    for read in
        select attname as name
        from pg_attribute as known
        inner join pg_attribute as delivered using (attname)
        where known.attrelid = live and known.atttypid = 'date'::regtype and delivered.attrelid = this
    loop
        execute format('select exists (select from %s where not staging.is_date(%I))', this, read.name) into is_other;
        if is_other then
            raise invalid_datetime_format using message = format('%s has dates that are not YYYY-MM-DD', read.name);
        end if;
        execute format('alter table %s alter column %I type date using %2$I::date', this, read.name);
    end loop;
end
$$;

-- Looks at a sample of a loaded table for the planner. 3,000 rows tell as much of keys, sizes and order as the
-- default's 30,000.
create or replace function staging.analyze_staged(table_name text, staged text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp set default_statistics_target = 10 as $$
begin
    perform staging.assert_staged(table_name, staged);
    execute format('analyze staging.%I', staged);
end
$$;

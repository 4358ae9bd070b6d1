-- The workshop: where deliveries are staged, and what is known of them until their month is sealed.
--
-- takes:  the empty schema
-- leaves: in schema staging three small tables and the functions that the month's SQL calls

-- Which run stages a month: the one that started last. Unlogged as the staged tables are, so that a crash of the
-- server, which empties those, empties what is said about them too.
create unlogged table if not exists staging.runs (
    as_of date primary key,
    run_id text not null
);

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

-- Stops the transaction with a message unless the condition holds.
create or replace function staging.require(condition boolean, message text) returns void
language plpgsql as $$
begin
    if condition is not true then
        raise exception '%', message;
    end if;
end
$$;

-- Stops a run whose month another one has taken over.
create or replace function staging.require_run(month date, run text) returns void
language sql as $$
    select staging.require(
        found.run_id is not distinct from run,
        coalesce(
            'run ' || found.run_id || ' has taken over the month ' || month || ', as it was started after this one ('
            || run || '). Nothing more is written here: let that run finish, or run the month again',
            'nothing is staged for ' || month || ' any more: run the month again'
        )
    )
    from (values (month)) as asked (as_of)
    left join staging.runs as found using (as_of);
$$;

-- Drops what a run has staged, unless another one has taken over the month.
create or replace function staging.release(month date, run text) returns void
language plpgsql as $$
declare
    staged text;
begin
    delete from staging.runs where as_of = month and run_id = run;
    if found then
        for staged in
            delete from staging.files where as_of = month
            returning format('%s_%s', table_name, to_char(as_of, 'YYYYMMDD'))
        loop
            execute format('drop table if exists staging.%I', staged);
        end loop;
    end if;
end
$$;

-- Makes the empty, unkeyed table that a new month's snapshot is written into. A sealed month has it already.
-- It and the next function act as the schema's owner, for a caller who may make nothing there himself.
create or replace function staging.create_partition(snapshots text, as_of date) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    partition text := format('%s_%s', snapshots, to_char(as_of, 'YYYYMMDD'));
begin
    perform staging.require(
        exists (select from pg_partitioned_table where partrelid = to_regclass(format('public.%I', snapshots))),
        snapshots || ' is no table of snapshots'
    );
    if to_regclass(format('public.%I', partition)) is null then
        execute format('create table public.%I (like public.%I)', partition, snapshots);
    end if;
    -- a sealed one may be older than the roles: whoever runs the month again writes no row to it, by name all the same
    execute format('grant select, insert on public.%I to %I', partition, session_user);
end
$$;

-- Keys the written table and makes it the month's partition. The check spares the scan of attaching.
create or replace function staging.attach_partition(snapshots text, as_of date) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
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

-- Stops what is not meant for one of the live tables that refer to users.
create or replace function staging.require_child(live_table text) returns void
language sql as $$
    select staging.require(
        live_table in (
            {%- for table in tables.values() if table.name != 'users' %}
            '{{ table.name }}'{{ ',' if not loop.last }}
            {%- endfor %}
        ),
        live_table || ' is no live table that refers to users'
    );
$$;

-- Takes the keys off an empty live table that refers to users, so that its first rows are not checked one by one;
-- set_keys, in the same transaction, checks them all at once. Both act as the schema's owner.
create or replace function staging.lift_keys(live_table text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    is_empty boolean;
begin
    perform staging.require_child(live_table);
    execute format('select not exists (select from public.%I)', live_table) into is_empty;
    if is_empty then
        execute format(
            'alter table public.%I drop constraint %I, drop constraint %I',
            live_table, live_table || '_user_id_fkey', live_table || '_pkey'
        );
    end if;
end
$$;

create or replace function staging.set_keys(live_table text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform staging.require_child(live_table);
    if not exists (
        select from pg_constraint where conrelid = format('public.%I', live_table)::regclass and contype = 'p'
    ) then
        execute format(
            'alter table public.%I add primary key (user_id), '
            'add foreign key (user_id) references public.users (user_id)',
            live_table
        );
    end if;
end
$$;

-- Gives an empty staging table the columns that a file's header names, and the optional ones that it leaves out:
-- live's types for known names, text for others, and for dates until read_dates has read them.
create or replace function staging.mirror_header(
    table_name text, staged text, header text[], optional text[]
) returns void
language plpgsql as $$
declare
    this regclass;
    live regclass := format('public.%I', table_name);
    missing record;
begin
    perform pg_advisory_xact_lock(hashtext('staging.' || staged));
    this := format('staging.%I', staged);
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

-- Makes dates of what a file has in live's columns of dates. They are as PostgreSQL writes them, 2024-01-31: its
-- reading would make the year 2005 of 05-01-24, and of the word yesterday what the day of the load says.
create or replace function staging.read_dates(table_name text, staged text) returns void
language plpgsql set datestyle = 'ISO' as $$
declare
    this regclass := format('staging.%I', staged);
    live regclass := format('public.%I', table_name);
    read record;
    is_other boolean;
begin
    for read in
        select attname as name
        from pg_attribute as known
        inner join pg_attribute as delivered using (attname)
        where known.attrelid = live and known.atttypid = 'date'::regtype and delivered.attrelid = this
    loop
        execute format('select exists (select from %s where %I::date::text <> %2$I)', this, read.name) into is_other;
        if is_other then
            raise invalid_datetime_format using message = format('%s has dates that are not YYYY-MM-DD', read.name);
        end if;
        execute format('alter table %s alter column %I type date using %2$I::date', this, read.name);
    end loop;
end
$$;

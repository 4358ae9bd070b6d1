-- Live's foreign keys. While a table is empty it can do without: PostgreSQL checks a million rows one by one in ten
-- seconds, and all at once in one.

create or replace function staging.is_empty(live_table text) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    found_none boolean;
begin
    execute format('select not exists (select from public.%I)', live_table) into found_none;
    return found_none;
end
$$;

-- The name of a table's foreign key to the table that it refers to; NULL if it has none.
create or replace function staging.key_of(live_table text) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select min(conname)
    from staging.tables()
    inner join pg_constraint
        on conrelid = to_regclass(format('public.%I', table_name))
        and confrelid = to_regclass(format('public.%I', refers_to))
    inner join pg_attribute on attrelid = conrelid and conkey = array[attnum]
    where table_name = live_table and contype = 'f' and attname = 'user_id'
$$;

-- Drops the foreign keys of the tables that refer to this one and are still empty. It waits for no one: a table that is
-- in use keeps its key.
create or replace function staging.lift_keys(live_table text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    name text;
begin
    for name in select table_name from staging.tables() where refers_to = live_table loop
        continue when staging.key_of(name) is null or not staging.is_empty(name);
        begin
            execute format('lock table public.%I, public.%I in access exclusive mode nowait', name, live_table);
            if staging.is_empty(name) then
                execute format('alter table public.%I drop constraint %I', name, staging.key_of(name));
            end if;
        exception
            when lock_not_available then null;
        end;
    end loop;
end
$$;

-- Adds a table's foreign key if it was dropped. Readers do not wait for it.
create or replace function staging.set_key(live_table text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if staging.key_of(live_table) is null then
        execute format(
            'alter table public.%I add foreign key (user_id) references public.%I (user_id) on delete cascade',
            live_table, (select refers_to from staging.tables() where table_name = live_table)
        );
    end if;
end
$$;

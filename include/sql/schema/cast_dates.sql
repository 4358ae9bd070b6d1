-- Whether a text that PostgreSQL reads as a date is written as YYYY-MM-DD; infinity and 44 BC are not. Where it is
-- called DateStyle is ISO. It is so plain that it costs no more than the comparison itself.
create or replace function staging.is_date(value text) returns boolean
language sql stable as $$ select value::date::text = value and length(value) = 10 $$;

-- Makes dates of what a file has in live's columns of dates. They are as PostgreSQL writes them, 2024-01-31: its
-- reading would make the year 2005 of 05-01-24, and of the word yesterday what the day of the load says.
create or replace function staging.cast_dates(month date, table_name text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp set datestyle = 'ISO' as $$
declare
    staged regclass := format('staging.%I', staging.relation_name(table_name, month));
    live regclass := format('public.%I', table_name);
    dates record;
    has_others boolean;
begin
    for dates in
        select attname as name
        from pg_attribute as known
        inner join pg_attribute as delivered using (attname)
        where known.attrelid = live and known.atttypid = 'date'::regtype and delivered.attrelid = staged
    loop
        execute format('select exists (select from %s where not staging.is_date(%I))', staged, dates.name)
        into has_others;
        if has_others then
            raise invalid_datetime_format using message = format('%s has dates that are not YYYY-MM-DD', dates.name);
        end if;
        execute format('alter table %s alter column %I type date using %2$I::date', staged, dates.name);
    end loop;
end
$$;

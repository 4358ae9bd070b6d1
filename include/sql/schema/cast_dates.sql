-- Whether a text that PostgreSQL reads as a date is written as YYYY-MM-DD; infinity and 44 BC are not. Callers set
-- DateStyle to ISO. It is simple enough to be inlined, so it costs no more than the comparison.
create or replace function staging.is_date(value text) returns boolean
language sql stable as $$ select value::date::text = value and length(value) = 10 $$;

-- Converts a file's values in live's date columns to dates. They must be written as 2024-01-31: PostgreSQL would also
-- read 05-01-24 as a day in 2005, and yesterday depending on the day of the load.
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

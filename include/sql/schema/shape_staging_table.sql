-- Gives an empty staging table the columns of a file's header, and the optional ones that it leaves out. Known columns
-- get live's types. Unknown columns are text, and so are dates until cast_dates converts them.
create or replace function staging.shape_staging_table(
    month date, table_name text, header text[], optional text[]
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    staged regclass := format('staging.%I', staging.relation_name(table_name, month));
    live regclass := format('public.%I', table_name);
    change record;
begin
    execute format('truncate %s', staged);
    for change in
        select name, coalesce(format_type(known.atttypid, known.atttypmod), 'text') as type
        from unnest(header || optional) as name
        left join pg_attribute as known
            on known.attrelid = live and known.attname = name and known.attnum > 0 and not known.attisdropped
        where name not in (select attname from pg_attribute where attrelid = staged and not attisdropped)
        group by name, type
    loop
        execute format('alter table %s add column %I %s', staged, change.name, change.type);
    end loop;
    for change in
        select attname as name, attname <> all(header || optional) as is_gone
        from pg_attribute
        where
            attrelid = staged and attnum > 0 and not attisdropped
            and (attname <> all(header || optional) or atttypid = 'date'::regtype)
    loop
        execute format(
            'alter table %s %s', staged,
            format(case when change.is_gone then 'drop column %I' else 'alter column %I type text' end, change.name)
        );
    end loop;
end
$$;

-- Adds the optional columns that live and the snapshots (with their partitions) lack, as NULL in all existing rows.
create or replace function staging.add_columns() returns void
language plpgsql as $$
declare
    new record;
begin
    for new in
        select relation, told.name, told.type
        from staging.tables()
        cross join lateral (values (table_name), (snapshots)) as relations (relation)
        inner join staging.columns() as told using (table_name)
        where not exists (
            select from pg_attribute
            where attrelid = to_regclass(format('public.%I', relation)) and attname = told.name and not attisdropped
        )
        order by relation, told.place
    loop
        execute format('alter table public.%I add column %I %s', new.relation, new.name, new.type);
    end loop;
end
$$;

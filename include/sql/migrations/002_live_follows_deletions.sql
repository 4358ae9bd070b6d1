-- Live's foreign keys follow deletions: a user who is gone takes the rows of the other tables along.
do $$
declare
    made record;
begin
    for made in
        select
            conrelid::regclass as relation,
            conname as name,
            confrelid::regclass as refers_to
        from pg_constraint
        where
            contype = 'f' and confdeltype <> 'c'
            and conkey = array[(select attnum from pg_attribute where attrelid = conrelid and attname = 'user_id')]
            and conrelid in (
                {%- for table in tables.values() %}
                to_regclass('public.{{ table.name }}'){{ ',' if not loop.last }}
                {%- endfor %}
            )
    loop
        execute format(
            'alter table %s drop constraint %I, add constraint %2$I '
            'foreign key (user_id) references %s (user_id) on delete cascade',
            made.relation, made.name, made.refers_to
        );
    end loop;
end
$$;

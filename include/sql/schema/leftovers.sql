-- Drops what others than the owner made in the schema staging while they might: no function of the owner's may read it.
--
-- takes:  the schema; a part of the block in schema.sql
-- leaves: nothing of theirs; a run under way stages its month again
for made in
    select
        case when relkind = 'v' then 'view' else 'table' end as kind,
        pg_class.oid::regclass::text as name
    from pg_class
    where relnamespace = 'staging'::regnamespace and relkind in ('r', 'v') and relowner <> current_user::regrole
    union all
    select 'routine' as kind, pg_proc.oid::regprocedure::text as name
    from pg_proc
    where pronamespace = 'staging'::regnamespace and proowner <> current_user::regrole
loop
    execute format('drop %s if exists %s cascade', made.kind, made.name);
    delete from staging.runs;
    delete from staging.files;
end loop;

-- Empties the schema staging for another version of the package. Nothing in it has to outlive a month. The owner's
-- functions must not read, or fail on, what other roles could create in it under earlier versions.
--
-- takes:  the schema; a part of the block in schema.sql
-- leaves: only staging.publish_lock; an active run stages its month again
do $clear$
declare
    made record;
begin
    for made in
        select kind, name
        from (
            select
                case relkind
                    when 'v' then 'view'
                    when 'm' then 'materialized view'
                    when 'f' then 'foreign table'
                    when 'S' then 'sequence'
                    when 'c' then 'type'
                    else 'table'
                end as kind,
                format('staging.%I', relname) as name
            from pg_class
            where
                relnamespace = 'staging'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c')
                and oid <> 'staging.publish_lock'::regclass
            union all
            select 'type', format('staging.%I', typname) from pg_type
            where typnamespace = 'staging'::regnamespace and typtype in ('d', 'e', 'r')
            union all
            select 'routine', oid::regprocedure::text from pg_proc
            where pronamespace = 'staging'::regnamespace
        ) as all_made
        -- all are named before the first is dropped; a table's own sequence and a type's own routines go with it
        order by kind in ('sequence', 'routine'), kind, name
    loop
        execute format('drop %s if exists %s cascade', made.kind, made.name);
    end loop;
end
$clear$;

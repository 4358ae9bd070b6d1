-- Stops unless the database's tables become those of include/tables just by adding tables, and optional columns at the
-- end. Any other change needs a migration.
--
-- takes:  staging.tables() and staging.columns(); the tables that the database has
-- leaves: nothing
create or replace function staging.assert_same_tables() returns void
language sql as $$
    with
    relations as (
        select table_name, table_name as relation from staging.tables()
        union all
        select table_name, snapshots from staging.tables()
    ),

    existing as (
        select *, to_regclass(format('public.%I', relation)) as oid from relations
    ),

    found as (
        select
            relation,
            attname::text as name,
            format_type(atttypid, atttypmod) as type,
            row_number() over (partition by relation order by attnum) as place
        from existing
        inner join pg_attribute on attrelid = existing.oid and attnum > 0 and not attisdropped
        where relation = table_name or attname not in ('as_of', 'source_as_of')
    ),

    said as (
        select relation, told.*
        from existing
        inner join staging.columns() as told using (table_name)
        where existing.oid is not null
    ),

    other_columns as (
        select
            relation,
            name,
            case
                when said.name is null then 'is in the database, not in table.yaml (removed, or renamed?)'
                when found.name is null then 'is not in the database: a new column must be optional'
                when said.type <> found.type then format('is %s in the database, not %s', found.type, said.type)
            end as difference
        from said
        full join found using (relation, name)
        where said.name is null or said.type <> found.type or (found.name is null and not said.is_optional)
    ),

    moved_columns as (
        select distinct on (relation)
            relation,
            name,
            format('is column %s in the database, %s in table.yaml: new columns go last', found.place, said.place)
        from said
        inner join found using (relation, name)
        where
            said.place <> found.place
            and relation = said.table_name
            and relation not in (select relation from other_columns)
        order by relation, said.place
    ),

    sealed as (
        select table_name, min(as_of) as as_of from public.deliveries group by table_name
    ),

    keys as (
        select
            existing.relation,
            relname::text as refers_to
        from existing
        inner join pg_constraint on conrelid = existing.oid and contype = 'f'
        inner join pg_class on pg_class.oid = confrelid
        where
            existing.relation = existing.table_name
            and conkey = array[(select attnum from pg_attribute where attrelid = existing.oid and attname = 'user_id')]
    ),

    differences (relation, name, difference) as (
        select * from other_columns
        union all
        select * from moved_columns
        union all
        select table_name, null, format('has sealed months from %s on, but no folder', sealed.as_of)
        from sealed
        where table_name not in (select table_name from staging.tables())
        union all
        select table_name, 'snapshots', format('is %s, but the sealed months are not there', snapshots)
        from sealed
        inner join staging.tables() using (table_name)
        where to_regclass(format('public.%I', snapshots)) is null
        union all
        select table_name, 'since', format('is %s, but %s is sealed', to_char(since, 'YYYY-MM'), sealed.as_of)
        from sealed
        inner join staging.tables() using (table_name)
        where sealed.as_of < since
        union all
        select
            table_name,
            'refers_to',
            format(
                'is %s, but %s in the database', coalesce(tables.refers_to, 'none'), coalesce(keys.refers_to, 'none')
            )
        from staging.tables()
        left join keys on keys.relation = table_name
        where
            to_regclass(format('public.%I', table_name)) is not null
            and keys.refers_to is distinct from tables.refers_to
            -- the key of an empty table may be lifted until it is filled
            and not (keys.refers_to is null and staging.is_empty(table_name))
        union all
        select table_name, name, 'is not an optional column, but files of sealed months left it out'
        from (select distinct table_name, unnest(not_delivered) as name from public.current_deliveries) as left_out
        inner join staging.tables() using (table_name)
        left join staging.columns() as told using (table_name, name)
        where
            told.is_optional is false
            or told.name is null and (table_name, name) not in (select found.relation, found.name from found)
    )

    select staging.assert_true(
        count(*) = 0,
        format(
            E'the tables of the database %s are not those of include/tables:\n%s\nNothing was written.',
            current_database(),
            string_agg(format('  - %s %s', concat_ws('.', relation, name), difference), E'\n' order by relation, name)
        ),
        'undo the change in the folder, or write a migration that changes the tables, '
        'include/sql/migrations/{{ '%03d' % (migrations | length + 1) }}_<what>.sql (docs/tables.md), '
        'then {{ run_again }}.'
    )
    from differences
$$;

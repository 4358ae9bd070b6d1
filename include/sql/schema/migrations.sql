-- Applies the migrations that the database does not have yet, each once and in order (docs/tables.md).
--
-- takes:  an empty database, which needs no migration, or one that an earlier version of the package created
-- leaves: public.schema_migrations with one row per migration; stops if a later version has changed the database
create table if not exists public.schema_migrations (
    number integer primary key,
    name text not null,
    applied_at timestamptz not null default now()
);

do $migrations$
begin
    perform staging.assert_true(
        count(*) = 0,
        format(
            E'another version of the package has changed the database %s:\n'
            'this version does not know the migration %s under that number.',
            current_database(), string_agg(name, ', ' order by number)
        ),
        'deploy the version that has it, then {{ run_again }}.'
    )
    from public.schema_migrations
    where (number, name) not in (
        {%- for name in migrations %}
        ({{ loop.index }}, '{{ name }}'){{ ',' if not loop.last }}
        {%- endfor %}
    );
    {% for name in migrations %}
    if not exists (select from public.schema_migrations where number = {{ loop.index }}) then
        if to_regclass('public.deliveries') is not null then
            {% include 'migrations/' ~ name ~ '.sql' %}
        end if;
        insert into public.schema_migrations (number, name) values ({{ loop.index }}, '{{ name }}');
    end if;
    {% endfor %}
end
$migrations$;

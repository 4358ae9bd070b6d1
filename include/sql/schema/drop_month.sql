-- Drops what a run has staged and built, unless another one has claimed the month.
create or replace function staging.drop_month(month date, run text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    delete from staging.runs where as_of = month and run_id = run;
    if found then
        delete from staging.files where as_of = month;
        delete from staging.builds where as_of = month;
        {%- for table in tables.values() %}
        execute format(
            'drop table if exists staging.%I, staging.%I, staging.%I',
            staging.relation_name('{{ table.name }}', month),
            staging.relation_name('{{ table.name }}', month, 'build'),
            staging.relation_name('{{ table.name }}', month, 'changes')
        );
        {%- endfor %}
    end if;
end
$$;

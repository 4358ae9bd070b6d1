-- Applies a build's list of changes to sealed snapshots. Only a restatement has rows in the list.
--
-- takes:  the list, staging.<table>_<month>_changes, and whether the month itself is sealed: if not, it is attached
-- leaves: a function staging.apply_changes_<table> per table; it returns the months that it has changed. It fails on
--         a row that changes nothing, belongs to an earlier month, or differs from what a later month delivered. In a
--         delivered row of a later month, only the columns that its file left out may change. After the changes,
--         count_snapshot.sql checks that all other values are those of the month before.
{% import 'parts/columns.sql' as sql %}
{% for table in tables.values() %}
create or replace function staging.apply_changes_{{ table.name }}(month date, is_sealed boolean) returns date[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    changes text := staging.relation_name('{{ table.name }}', month, 'changes');
    months date[];
    is_forged boolean;
begin
    execute format('select array_agg(distinct as_of) from staging.%I where as_of <> $1 or $2', changes)
    into months using month, is_sealed;
    if months is null then
        return '{}';
    end if;

    execute format(
        $forged$
        select count(*) > 0  -- not exists(), which would be planned to return the first row fast
        from staging.%I as change
        left join public.{{ table.snapshots }} as sealed
            on change.user_id = sealed.user_id and change.as_of = sealed.as_of and sealed.as_of >= $1
        left join public.current_deliveries as ledger
            on change.as_of = ledger.as_of and ledger.table_name = '{{ table.name }}'
        where
            change.as_of < $1
            or (change.as_of > $1 or $2) and case
                when change.what = 'removed' then sealed.user_id is null
                else not (
                    {{ sql.differ(table, table.all_columns + ('source_as_of',), 'change', 'sealed', 24) }}
                )
            end
            or change.as_of > $1 and case
                when sealed.source_as_of = sealed.as_of then change.what = 'removed'
                or {{ sql.differ(table, ('user_id',) + table.required + ('source_as_of',), 'change', 'sealed', 20) }}
                {%- for name in table.optional %}
                or '{{ name }}' <> all(ledger.not_delivered)
                and {{ sql.differ(table, (name,), 'change', 'sealed', 20) }}
                {%- endfor %}
                else change.what <> 'removed' and change.source_as_of = change.as_of
            end
        $forged$, changes
    ) into is_forged using month, is_sealed;
    perform staging.assert_true(
        not is_forged,
        format('the listed changes of %s to sealed months of {{ table.name }} are not changes that it can make', month)
    );

    execute format(
        $merge$
        merge into public.{{ table.snapshots }} as snapshot
        using (select * from staging.%I where as_of > $1 or $2) as change
            on snapshot.user_id = change.user_id and snapshot.as_of = change.as_of and snapshot.as_of >= $1
        when matched and change.what = 'removed' then delete
        when matched then update set
            {%- for name in table.columns %}
            {{ name }} = change.{{ name }},
            {%- endfor %}
            source_as_of = change.source_as_of
        when not matched then insert (user_id, {{ table.columns | join(', ') }}, as_of, source_as_of)
            values ({{ sql.columns(table.all_columns, 'change', 20) }}, change.as_of, change.source_as_of)
        $merge$, changes
    ) using month, is_sealed;
    return months;
end
$$;
{% endfor %}

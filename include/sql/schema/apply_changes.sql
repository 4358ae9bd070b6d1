-- Brings sealed snapshots to what a build's list of changes says. Only a restatement has rows in it.
--
-- takes:  the list, staging.<table>_<month>_changes, and whether the month itself is sealed: if not, it is attached
-- leaves: a function staging.apply_changes_<table> per table; it returns the months that it has changed. It stops at
--         a row that changes nothing, that is of an earlier month, or that is other than what a later month has
--         delivered: of that only the columns change that its file left out. That what a month did not deliver is the
--         month before's, count_snapshot.sql checks when the changes are made.
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
        select count(*) > 0  -- not exists(), which would be planned for the first row
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
        format('the changes of {{ table.name }} that %s makes in sealed months are not what it can change there', month)
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

-- Brings a month back from the archive: attaches the tables that its files were read into, if they have the rows of the
-- newest revisions in the ledger, which stays as it is. The caller has filled a table of create_read_back for each.
-- What is in the database already stays as it is.
create or replace function staging.restore_month(month date) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp set maintenance_work_mem = '256MB' set lock_timeout = '1min' as $$
declare
    sealed record;
    file text;
begin
    -- at any other level, it would not see a restatement that was sealed in the meantime
    perform staging.assert_true(
        current_setting('transaction_isolation') = 'read committed', 'restore_month needs isolation level read committed'
    );
    for sealed in
        select table_name from public.archived_snapshots where as_of = month order by table_name
    loop
        file := staging.relation_name(sealed.table_name, month, 'file');
        if to_regrole('streamflow_ingest') is not null then
            execute format('revoke insert on staging.%I from streamflow_ingest', file);
        end if;
        -- this also waits for anyone who still writes to it; with the check constraint, attaching needs no scan
        execute format(
            'alter table staging.%I alter column as_of drop default, add primary key (user_id, as_of), '
            'add constraint as_of check (as_of = %L)', file, month
        );
    end loop;
    lock table staging.publish_lock in exclusive mode;
    for sealed in
        select table_name, revision from public.archived_snapshots where as_of = month order by table_name
    loop
        perform staging.assert_read_back(month, sealed.table_name, sealed.revision);
        perform staging.attach_build(month, sealed.table_name, 'file');
    end loop;
end
$$;

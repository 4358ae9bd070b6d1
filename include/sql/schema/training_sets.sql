-- The record of training sets: what each was built from, what it holds, and whether a restatement has changed its
-- sources since.
--
-- takes:  the ledger and the functions of training_set.sql
-- leaves: public.training_sets, one row per set and revision, append-only; the view public.training_sets_status; and
--         staging.record_training_set, the only way to add a row. It counts the users and names the sources itself, so
--         that a caller cannot choose them

create table if not exists public.training_sets (
    as_of date,
    horizon_months integer check (horizon_months >= 0),
    revision integer,
    label_as_of date not null,
    eligible bigint not null,
    positive bigint not null,
    negative bigint not null,
    unknown bigint not null,
    columns text[] not null,
    sources jsonb not null,
    content_sha256 text not null,
    file_sha256 text not null,
    file_writer text not null,
    package_version text not null,
    built_at timestamptz not null default now(),
    erased_at timestamptz,
    primary key (as_of, horizon_months, revision),
    check (eligible = positive + negative + unknown)
);

comment on column public.training_sets.horizon_months is
'0: features and labels are of the same month, so nothing is predicted';
comment on column public.training_sets.eligible is
'users who were delivered for as_of and whose label was not already true then';
comment on column public.training_sets.unknown is
'eligible users whose label was not delivered for label_as_of: they are not in the set';
comment on column public.training_sets.sources is
'the snapshots that were read: as_of, table_name, and the ledger''s revision and checksum';
comment on column public.training_sets.erased_at is
'when a user who was delivered for as_of was erased; NULL: no one was';
comment on column public.training_sets.content_sha256 is
'of the rows as PostgreSQL''s CSV, without a header and sorted by user_id: it does not depend on what wrote the file';

-- A set is current while the ledger's newest revisions have the checksums of its sources.
create or replace view public.training_sets_status as
select
    built.as_of,
    built.horizon_months,
    built.revision,
    array(
        select
            format(
                '%s of %s: revision %s, was %s',
                newest.table_name, newest.as_of, newest.revision, coalesce(used.revision::text, 'not sealed')
            )
        from public.current_deliveries as newest
        left join jsonb_to_recordset(built.sources)
            as used (as_of date, table_name text, revision integer, checksum numeric)
            on newest.as_of = used.as_of and newest.table_name = used.table_name
        where
            newest.as_of in (built.as_of, built.label_as_of)
            and newest.snapshot_checksum is distinct from used.checksum
            and (newest.as_of = built.as_of or used.as_of is not null)
        order by 1
    ) || case when built.erased_at is null then '{}'::text[] else '{built with erased users}' end as restated
from public.training_sets as built;

comment on column public.training_sets_status.restated is
'the set''s sources that were restated since, and whether it has users who are erased now; empty: the set
can be built again with the same rows';
{% if label %}
create or replace function staging.record_training_set(
    month date, horizon integer, names text[], content text, file text, writer text
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    label_month date := public.training_label_month(month, horizon);
begin
    insert into public.training_sets
    (
        as_of, horizon_months, revision, label_as_of, eligible, positive, negative, unknown,
        columns, sources, content_sha256, file_sha256, file_writer, package_version
    )
    with
    used as (
        select as_of, table_name, revision, snapshot_checksum as checksum
        from public.current_deliveries
        where as_of = month or (as_of = label_month and table_name = '{{ label.table.name }}')
    ),

    built as (
        select jsonb_agg(used order by as_of, table_name) as sources from used
    ),

    newest as (
        select *
        from public.training_sets
        where as_of = month and horizon_months = horizon
        order by revision desc
        limit 1
    )

    select
        month, horizon, coalesce(newest.revision, 0) + 1, label_month,
        counts.eligible, counts.positive, counts.negative, counts.unknown,
        names, built.sources, content, file, writer, '{{ package_version }}'
    from built
    cross join public.training_set_counts(month, horizon) as counts
    left join newest on true
    where
        newest.revision is null
        or (newest.columns, newest.sources, newest.content_sha256, newest.file_sha256, newest.file_writer)
        is distinct from (names, built.sources, content, file, writer);
end
$$;
{% endif %}

-- The archive: which revisions of sealed snapshots are also in files, and which snapshots are only there.
--
-- takes:  the ledger
-- leaves: public.archives, one row per reading back of a file, in which only an erasure changes something; the view
--         public.current_archives with the newest reading of each revision; and the view public.archived_snapshots with
--         the sealed snapshots that are no longer in the database

create table if not exists public.archives (
    as_of date,
    table_name text,
    revision integer,
    read_back_at timestamptz default now(),
    place text not null,
    file_bytes bigint not null,
    file_sha256 text not null,
    snapshot_rows bigint not null,
    snapshot_checksum numeric not null,
    columns text[] not null,
    run_id text not null,
    package_version text not null,
    erased_at timestamptz,
    primary key (as_of, table_name, revision, read_back_at)
);

comment on table public.archives is
'one row each time that an archived file was read back and its rows were found to be what the ledger says';
comment on column public.archives.place is 'the file: a path, or the URL of an object in a store';
comment on column public.archives.columns is
'the columns of the snapshot that the file has: those that the ledger''s checksum covers';
comment on column public.archives.erased_at is
'when the file was deleted, because it had rows of users who were erased then; NULL: it is there';
comment on column public.archives.run_id is 'the run that read the file back';

create or replace view public.current_archives as
select distinct on (as_of, table_name, revision)
    as_of, table_name, revision, place, file_bytes, file_sha256, snapshot_rows, snapshot_checksum, columns,
    run_id, package_version, read_back_at,
    min(read_back_at) over (partition by as_of, table_name, revision) as archived_at
from public.archives
where erased_at is null
order by as_of asc, table_name asc, revision asc, read_back_at desc;

create or replace view public.archived_snapshots as
with
newest as (
    select as_of, table_name, max(revision) as revision from public.deliveries group by as_of, table_name
),

snapshot_tables (table_name, snapshots) as (
    values
    {%- for table in tables.values() %}
    ('{{ table.name }}', '{{ table.snapshots }}'){{ ',' if not loop.last }}
    {%- endfor %}
),

attached as (
    select snapshot_tables.table_name, month_of.relname
    from snapshot_tables
    inner join pg_inherits on inhparent = to_regclass(format('public.%I', snapshot_tables.snapshots))
    inner join pg_class as month_of on month_of.oid = inhrelid
)

select
    archived.as_of, archived.table_name, archived.revision, archived.place, archived.file_bytes, archived.file_sha256,
    archived.snapshot_rows, archived.archived_at
from public.current_archives as archived
inner join newest using (as_of, table_name, revision)
inner join snapshot_tables using (table_name)
where not exists (
    select from attached
    where
        attached.table_name = archived.table_name
        and attached.relname = snapshot_tables.snapshots || to_char(archived.as_of, '_YYYYMMDD')
);

comment on view public.archived_snapshots is
'the sealed snapshots that are only in the archive: make restore brings a month back';

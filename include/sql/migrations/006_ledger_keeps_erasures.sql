-- Each revision keeps its kind, how many delivered rows were left out because their users are erased, and how many rows
-- an erasure has removed. Until here no one could be erased.
do $$
declare
    sums name;
begin
    for sums in
        select conname from pg_constraint
        where conrelid = to_regclass('public.deliveries') and contype = 'c' and cardinality(conkey) > 1
    loop
        execute format('alter table public.deliveries drop constraint %I', sums);
    end loop;
end
$$;

alter table public.deliveries
add column kind text not null default 'delivery' check (kind in ('delivery', 'restatement', 'erasure')),
add column suppressed bigint not null default 0,
add column erased bigint not null default 0,
add constraint deliveries_file_adds_up check (delivered = inserted + updated + unchanged + suppressed),
add constraint deliveries_snapshot_adds_up check (snapshot_rows = delivered - suppressed + carried_forward);

update public.deliveries set kind = 'restatement' where revision > 1;

alter table if exists public.training_sets add column erased_at timestamptz;

alter table if exists public.archives add column if not exists erased_at timestamptz;

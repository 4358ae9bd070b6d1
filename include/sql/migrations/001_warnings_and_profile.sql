-- What was odd about a file, and the figures that the next month's are compared with.
alter table public.deliveries
add column if not exists warnings text[] not null default '{}',
add column if not exists profile jsonb not null default '{}';

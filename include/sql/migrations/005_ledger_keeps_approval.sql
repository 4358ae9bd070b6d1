-- Each revision keeps who has approved it, when, and why. Until here NULL: no one was asked.
alter table public.deliveries
add column approved_by text,
add column approved_at timestamptz,
add column approval_reason text;

-- Each revision keeps which version of the package has sealed it. Until here NULL: no one had put it down.
alter table public.deliveries add column package_version text;

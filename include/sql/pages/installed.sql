-- Whether anything was ever loaded.
--
-- takes:  nothing
-- leaves: a query with one row
select to_regclass('public.deliveries') is not null as has_ledger;

-- An empty staging table for {{ table.name }} of {{ month.as_of }}, with live's columns and none of its constraints.
--
-- takes:  nothing; what an earlier try left is replaced
-- leaves: staging.{{ table.name }}_{{ month.suffix }}, and nothing on record about its file

select pg_advisory_xact_lock(hashtext('staging.{{ table.name }}_{{ month.suffix }}'));

-- after a crash of the server nobody has the month
insert into staging.runs (as_of, run_id)
values (date '{{ month.as_of }}', {{ run }})
on conflict (as_of) do nothing;

select staging.require_run(date '{{ month.as_of }}', {{ run }});

delete from staging.files
where as_of = date '{{ month.as_of }}' and table_name = '{{ table.name }}';

drop table if exists staging.{{ table.name }}_{{ month.suffix }};

create unlogged table staging.{{ table.name }}_{{ month.suffix }} (like public.{{ table.name }});

-- a missing value is the suite's to find, with its line and a reason, not the type's
alter table staging.{{ table.name }}_{{ month.suffix }} alter column user_id drop not null;

-- Makes the month this run's to stage.
--
-- takes:  nothing; a run that has it, dead or alive, is told so at its next step
-- leaves: this run in staging.runs
insert into staging.runs (as_of, run_id)
values (date '{{ month.as_of }}', {{ run }})
on conflict (as_of) do update set run_id = excluded.run_id;

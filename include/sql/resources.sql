-- Memory and processors for a month's step, in its transaction only.
--
-- takes:  nothing
-- leaves: a hash of the user_ids of a million users fits; more users spill to disk and still come through.
--         Few rows come of the many that are looked at, which the planner cannot know: queries are shared
--         among processors whatever it expects
set local work_mem = '128MB';
set local maintenance_work_mem = '256MB';
set local parallel_tuple_cost = 0;

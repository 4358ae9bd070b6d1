-- Memory for the joins and keys of a month's step, in its transaction only.
--
-- takes:  nothing
-- leaves: a hash of the user_ids of a million users fits; more users spill to disk and still come through
set local work_mem = '128MB';
set local maintenance_work_mem = '256MB';

-- What staging.seal_month does: the six snapshot partitions, the months that they carry forward into, live where no
-- upsert brought it there, and the ledger, in one transaction under one lock. Readers see all of it or nothing.
--
-- takes:  the six staged and validated deliveries of the month; the snapshots of the sealed months
-- leaves: the month sealed. Files that are sealed already change nothing; a change to sealed snapshots needs
--         the run's param restate and fails without it before anything is written.
{% include 'resources.sql' %}
lock table staging.publish_lock in exclusive mode;

set local datestyle = 'ISO';  -- the checksums are of text

{% include 'month_plan.sql' %}

{% for table in tables.values() %}
{% include 'snapshot/replay.sql' %}
{% endfor %}
{% include 'snapshot/sealed_changes.sql' %}

select staging.require(
    {{ restate }} or not exists (select from sealed_changes),
    'sealed snapshots would change, as another run sealed or restated a month after this one passed the gate'
);

-- the gate has looked for orphans; only a restatement since can have made some
{% set looked_for %}(
        select may_change_sealed
        or exists (
            select from public.current_deliveries as sealed
            where sealed.as_of = month_plan.previous and sealed.table_name = 'users' and sealed.revision > 1
        )
        from month_plan
    ){% endset %}
{% include 'snapshot/orphans.sql' %}
select staging.require(
    not exists (select from orphans),
    'rows would refer to no user, as a month was restated since this one passed the gate'
);

{% include 'snapshot/stale_live.sql' %}
{% for table in tables.values() %}
{% include 'snapshot/write_partition.sql' %}
{% include 'snapshot/apply_replay.sql' %}
{% endfor %}
{% include 'snapshot/sync_live.sql' %}
{% for table in tables.values() %}
{% include 'snapshot/seal.sql' %}
{% endfor %}
select staging.require(
    count(*) = {{ tables | length }} or (select is_sealed from month_plan),
    'the snapshots of {{ month.as_of }} do not have the rows that the files had'
)
from staging.files as file
inner join public.current_deliveries as sealed using (as_of, table_name, delivered)
where file.as_of = date '{{ month.as_of }}';

delete from staging.live_claims;

-- The whole schema, in the order in which its parts need each other.
--
-- takes:  an empty database, or one that has the schema already
-- leaves: live, snapshots, ledger and staging
set local lock_timeout = '1min';  -- rather try again than stand in every reader's way behind a long one

select pg_advisory_xact_lock(hashtext('streamflow'));

{% include 'schema/live.sql' %}
{% include 'schema/snapshots.sql' %}
{% include 'schema/ledger.sql' %}
{% include 'schema/staging.sql' %}
{% include 'schema/reading.sql' %}

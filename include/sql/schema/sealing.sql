-- The one way to change what is sealed. Its caller may call it and nothing else: it reads staged tables that only the
-- owner can make or shape, decides by the ledger whether the month may be sealed, and counts what it writes itself.
--
-- takes:  the schema; snapshot/month.sql, rendered with a mark for the month, the run and restate
-- leaves: the function staging.seal_month
{%- set month = {'as_of': '@month@', 'suffix': '@suffix@'} %}
{%- set restate = '@restate@' %}
{%- set run = '@run@' %}
create or replace function staging.seal_month(month date, run text, restate boolean) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $seal_month$
declare
    steps text := $steps$
{% include 'snapshot/month.sql' %}
    $steps$;
begin
    steps := replace(steps, '@month@', month::text);
    steps := replace(steps, '@suffix@', to_char(month, 'YYYYMMDD'));
    steps := replace(steps, '@restate@', restate::text);
    execute replace(steps, '@run@', quote_literal(run));  -- last, as a run's id may be any text
    return (
        select jsonb_build_object(
            'as_of', month,
            'ledger_rows_written', count(*) filter (where ledger.sealed_at = now()),
            'months_sealed', string_agg(distinct ledger.as_of::text, ', ') filter (where ledger.sealed_at = now()),
            'live_tables_rebuilt', coalesce((select string_agg(stale.table_name, ', ') from stale_live as stale), 'none'),
            -- all since the run claimed the month, so that a second try after a lost answer says the same as the
            -- first, and a run that is cleared later says what is new; without the checksum, which is larger than
            -- what Airflow's processes can tell each other
            'revisions', coalesce(
                jsonb_agg(
                    to_jsonb(ledger) - '{profile, warnings, snapshot_checksum}'::text[]
                    order by ledger.as_of, ledger.table_name
                )
                filter (
                    where ledger.run_id = seal_month.run
                    and ledger.sealed_at >= (
                        select claimed_at from staging.runs where runs.as_of = seal_month.month
                    )
                ), '[]'
            )
        )
        from public.deliveries as ledger
    );
end
$seal_month$;

-- What the run would change in sealed months, counted.
--
-- takes:  the six replays; staging.files and the ledger
-- leaves: the temporary table sealed_changes, a row per month, table and kind of change; empty for a run that
--         changes nothing that is sealed
create temporary table sealed_changes on commit drop as
{%- for table in tables.values() %}
select as_of, '{{ table.name }}' as table_name, what, count(*) as row_count
from {{ table.name }}_replay
group by as_of, what
union all
{%- endfor %}
-- which columns a sealed file left out decides what later months carry forward
select file.as_of, file.table_name, 'delivered columns' as what, recorded.delivered as row_count
from staging.files as file
inner join public.current_deliveries as recorded using (as_of, table_name)
where file.as_of = date '{{ month.as_of }}' and file.not_delivered <> recorded.not_delivered;

-- The state of {{ table.name }} at the end of the month: the delivered rows and those that are carried forward.
--
-- takes:  what its two parts take
-- leaves: a query with live's columns and source_as_of, the delivery that each row came from
{% include 'snapshot/delivered.sql' %}
union all
{% include 'snapshot/carried.sql' %}

{% test between(model, column_name, min_value, max_value) %}
select {{ column_name }} from {{ model }}
where {{ column_name }} not between {{ min_value }} and {{ max_value }}
{% endtest %}

{% test length_between(model, column_name, min_value, max_value) %}
select {{ column_name }} from {{ model }}
where length({{ column_name }}) not between {{ min_value }} and {{ max_value }}
{% endtest %}

{% test not_empty(model) %}
select 1 where not exists (select from {{ model }})
{% endtest %}

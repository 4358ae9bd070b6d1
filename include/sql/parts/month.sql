{#- The month that a run is for: the end of its data interval, unless the run's param names another. -#}
{%- set as_of = params.as_of or data_interval_end | ds -%}

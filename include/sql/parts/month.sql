{#- The month that a run is for: its data interval's end, unless the run's param names another. -#}
{%- set as_of = params.as_of or data_interval_end | ds -%}

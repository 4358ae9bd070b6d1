-- Loads a file into an unlogged table.
drop table if exists staging.{{ table.name }};

create unlogged table staging.{{ table.name }} (like public.{{ table.name }});

\copy staging.{{ table.name }} ({{ header | join(', ') }}) from '{{ table.name }}.csv' with (format csv, header)

analyze staging.{{ table.name }};

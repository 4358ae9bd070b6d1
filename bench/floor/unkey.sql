-- Variant with two connections, before the first load: live without keys.
{% for table in tables.values() if table.name != 'users' %}
alter table public.{{ table.name }} drop constraint {{ table.name }}_user_id_fkey;
{% endfor %}
{% for table in tables.values() %}
alter table public.{{ table.name }} drop constraint {{ table.name }}_pkey;
{% endfor %}

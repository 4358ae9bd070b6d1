-- Variant with two connections, after the first load: a live table's keys.
alter table public.{{ table.name }} add constraint {{ table.name }}_pkey primary key (user_id);
{% if table.name != 'users' %}
alter table public.{{ table.name }}
add constraint {{ table.name }}_user_id_fkey foreign key (user_id) references public.users;
{% endif %}

-- New rows inserted, changed rows updated, identical rows left alone.
merge into public.{{ table.name }} as live
using staging.{{ table.name }} as delivered
    on live.user_id = delivered.user_id
when matched and (
    {%- for column in delivered %}
    live.{{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
) is distinct from (
    {%- for column in delivered %}
    delivered.{{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
) then update set
    {%- for column in delivered %}
    {{ column }} = delivered.{{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
when not matched then insert (user_id, {{ delivered | join(', ') }})
    values (delivered.user_id, delivered.{{ delivered | join(', delivered.') }});

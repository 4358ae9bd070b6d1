-- Stops the transaction unless the condition holds, with a message, and with what to do as its hint.
create or replace function staging.assert_true(
    condition boolean, message text, to_do text default '{{ run_again }}.'
) returns void
language plpgsql as $$
begin
    if condition is not true then
        raise exception using message = message, hint = to_do;
    end if;
end
$$;

-- Stops the transaction with a message, and what to do as its hint, unless the condition holds.
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

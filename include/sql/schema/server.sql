-- Stops on a server that is too old. There, months could be sealed, but the first bad cell would cause an SQL error.
--
-- takes:  nothing; roles.sql and schema.sql begin with it
-- leaves: nothing
do $server$
begin
    if current_setting('server_version_num')::integer < 160000 then
        raise exception 'PostgreSQL 16 to 18 is needed, found %.', current_setting('server_version')
        using hint = 'upgrade the server, or point the connection streamflow_db to another one, then {{ run_again }}.';
    end if;
end
$server$;

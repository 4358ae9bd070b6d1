-- Puts a loaded file on record, as not validated yet.
--
-- takes:  the parameters file_name, file_bytes, file_sha256, not_delivered and delivered
-- leaves: its row in staging.files, an earlier try's replaced
insert into staging.files
(as_of, table_name, file_name, file_bytes, file_sha256, not_delivered, delivered)
values (
    date '{{ month.as_of }}', '{{ table.name }}',
    %(file_name)s, %(file_bytes)s, %(file_sha256)s, %(not_delivered)s, %(delivered)s
)
on conflict (as_of, table_name) do update set
    file_name = excluded.file_name,
    file_bytes = excluded.file_bytes,
    file_sha256 = excluded.file_sha256,
    not_delivered = excluded.not_delivered,
    delivered = excluded.delivered,
    is_validated = false;

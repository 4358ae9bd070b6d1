select * from {{ source('raw', 'payments_agg_90d') }}

select * from {{ source('raw', 'support_agg_90d') }}

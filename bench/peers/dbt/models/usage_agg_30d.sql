select * from {{ source('raw', 'usage_agg_30d') }}

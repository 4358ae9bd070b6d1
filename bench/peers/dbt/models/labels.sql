select * from {{ source('raw', 'labels') }}

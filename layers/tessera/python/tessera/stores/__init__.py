"""The stores: where sessions persist.

`table` is the small contract of a table, with two implementations: `memory` and `dynamodb`. `sessions`,
`expiry` and `counters` say what is kept in it; `cache` is the tier in front (L1). `bucket` is the contract of
a bucket, the tier behind (L3), with one implementation in memory and one in `s3`.
"""

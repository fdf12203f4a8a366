"""Benchmarks: each module measures one figure of docs/performance.md and writes bench/results/<name>.json."""

BENCHMARKS = (
    "warm_get",
    "cold_start",
    "restore",
    "cleanup",
    "append",
    "compaction",
    "buckets",
    "checkout",
    "faults",
    "fanout",
    "client_size",
    "reconnect_storm",
    "recovery",
)
"""In the order in which `make bench` runs them."""

"""Benchmarks: each module measures one figure of docs/performance.md and writes bench/results/<name>.json."""

BENCHMARKS = (
    "warm_get",
    "cold_start",
    "restore",
    "cleanup",
    "append",
    "compaction",
    "checkout",
    "faults",
    "client_size",
    "reconnect_storm",
    "recovery",
    "buckets",
)
BENCHMARKS = ("warm_get", "cold_start", "restore", "cleanup", "append", "compaction", "fanout", "reconnect")
"""In the order in which `make bench` runs them."""

"""The prefix cache as operators see it: vllm-mlx's figures under the names that all engines use."""

from collections.abc import Mapping
from typing import Any

MEBIBYTE = 1024**2
MISSES: Mapping[str, str] = {
    "miss": "no earlier prompt begins like it",
    "miss_short_prefix": "what it shares with an earlier prompt is shorter than vllm-mlx's 128 tokens",
    "miss_short_lcp": "what it shares with an earlier prompt is shorter than vllm-mlx's 128 tokens",
}


def cache_facts(stats: Mapping[str, Any] | None, last_match: str | None) -> Mapping[str, Any] | None:
    """None where there is no cache."""
    if stats is None:
        return None
    return {
        "hits": stats["hits"],
        "misses": stats["misses"],
        "bytes": int(stats["current_memory_mb"] * MEBIBYTE),
        "entries": stats["entry_count"],
        "evictions": stats["evictions"],
        "last_miss": None if last_match is None else MISSES.get(last_match),
    }

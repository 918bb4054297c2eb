"""Gauges that are read whenever somebody looks."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmx.kernel import Kernel


def readings(kernel: "Kernel") -> Mapping[str, float]:
    """By name; GB are 10^9 bytes."""
    memory = kernel.models.memory()
    queue = kernel.scheduler.describe()
    return {
        "lmx_uptime_seconds": kernel.uptime_s,
        "lmx_loaded_models": len(kernel.models.loaded()),
        "lmx_memory_used_gb": (memory.total_bytes - memory.available_bytes) / 1e9,
        "lmx_memory_total_gb": memory.total_bytes / 1e9,
        "lmx_memory_budget_gb": memory.budget_bytes / 1e9,
        "lmx_memory_held_gb": memory.held_bytes / 1e9,
        "lmx_in_flight_requests": kernel.accounting.in_flight,
        "lmx_concurrent_limit": queue["limit"],
        "lmx_queued_requests": queue["waiting"],
        "lmx_asyncio_tasks": _tasks(),
    }


def _tasks() -> int:
    """Tasks of the loop that have not ended: connections, loads, watches; a number that only grows is a leak."""
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # nobody has started the loop, so there are none
        return 0

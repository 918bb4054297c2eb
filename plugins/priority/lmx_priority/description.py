"""What the scheduler says of itself, at `/admin/stack` and in the metrics."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from lmx_priority.line import Line
from lmx_priority.place import CLASSES
from lmx_priority.policy import Policy

NO_KEY = "(none)"


def described(policy: Policy, now_s: float) -> Mapping[str, Any]:
    """Waiting requests, running rows, and the limit of rows as memory allows now: in total, per model and per key."""
    models = {model: _model(policy, line, now_s) for model, line in sorted(policy.lines.items())}
    return {
        "policy": "priority",
        **{name: sum(facts[name] for facts in models.values()) for name in ("waiting", "running", "limit")},
        "oldest_wait_s": max((facts["oldest_wait_s"] for facts in models.values()), default=0.0),
        "memory_pressure": round(policy.pressure, 3),
        "models": models,
        "keys": _keys(policy),
    }


def _model(policy: Policy, line: Line, now_s: float) -> dict[str, Any]:
    mean_s = line.service.mean_s
    return {
        "waiting": len(line.waiting),
        "running": line.running_rows,
        "limit": policy.limit(line),
        "full_limit": line.limit,
        "classes": {name: line.waiting_in(level) for level, name in enumerate(CLASSES)},
        "oldest_wait_s": round(now_s - line.oldest_s(), 3) if line.waiting else 0.0,
        "mean_service_s": None if mean_s is None else round(mean_s, 3),
        "waits_for_memory": bool(line.waiting) and line.cold,
    }


def _keys(policy: Policy) -> dict[str, Any]:
    waiting = Counter(place.key for line in policy.lines.values() for place in line.waiting)
    names = sorted({*waiting, *policy.keys.rows}, key=lambda name: name or "")
    return {
        NO_KEY if name is None else name: {
            "waiting": waiting[name],
            "running": policy.keys.rows.get(name, 0),
            "limit": policy.config.key_limit,
        }
        for name in names
    }

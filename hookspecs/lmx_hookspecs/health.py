"""Health checks: small questions with a time limit."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import field, frozen

from lmx_hookspecs.context import Context


@frozen
class Health:
    """An answer: `detail` says what was seen and, when not ok, what to do."""

    ok: bool
    detail: str = ""
    facts: Mapping[str, Any] = field(factory=dict)
    """What was measured, as plain data."""
    took_s: float = 0.0
    """How long the check took; the kernel fills it in."""
    age_s: float = 0.0
    """How old the answer is; the kernel fills it in."""


@frozen(kw_only=True)
class HealthCheck:
    """A named check. While a `critical` one fails, `/readyz` answers 503."""

    name: str
    check: Callable[[Context], Awaitable[Health]]
    critical: bool = False
    timeout_s: float = 2.0
    keep_s: float = 1.0
    """How long an answer is given again before the check is asked anew; it is never asked twice at a time."""

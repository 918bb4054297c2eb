"""Health checks: small questions with a time limit."""

from collections.abc import Awaitable, Callable

from attrs import frozen

from lmx_hookspecs.context import Context


@frozen
class Health:
    """An answer: `detail` says what was seen and, when not ok, what to do."""

    ok: bool
    detail: str = ""


@frozen(kw_only=True)
class HealthCheck:
    """A named check. While a `critical` one fails, `/readyz` answers 503."""

    name: str
    check: Callable[[Context], Awaitable[Health]]
    critical: bool = False
    timeout_s: float = 2.0

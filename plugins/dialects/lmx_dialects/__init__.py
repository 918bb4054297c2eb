"""Plugin `dialects`: how models write tool calls and reasoning. Hooks only; the parsers are imported in the worker."""

from collections.abc import Sequence

from lmx_dialects.catalogue import DIALECTS
from lmx_hookspecs import DialectSpec, hookimpl


@hookimpl
def lmx_dialects() -> Sequence[DialectSpec]:
    """Every format that LMX reads."""
    return DIALECTS

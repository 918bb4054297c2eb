"""Safe mode: a server that keeps dying right after its start comes up without loading anything."""

from collections.abc import Sequence

WINDOW_S = 60.0
LIMIT = 3
KEPT = 10
REASON = (
    f"safe mode: {LIMIT} starts within {WINDOW_S:g} s found no clean stop before them, so nothing was loaded; "
    "load a model by hand (`lmx load MODEL`); a clean stop ends safe mode"
)


def with_unclean_start(starts: Sequence[float], now: float) -> Sequence[float]:
    """The unclean starts that count, the latest last; those in the future are from before the clock was set back."""
    recent = [start for start in starts if 0 <= now - start <= WINDOW_S]
    return [*recent, now][-KEPT:]


def is_safe_mode(starts: Sequence[float]) -> bool:
    """Whether so many unclean starts in a row call for it."""
    return len(starts) >= LIMIT

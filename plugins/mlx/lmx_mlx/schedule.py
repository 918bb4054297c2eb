"""Who runs next, with whom, and how much: arithmetic over measured times and lengths."""

from math import sqrt

from attrs import define

SMALLEST_CHUNK = 8
LARGEST_CHUNK = 2048
STEPS_PER_CHUNK = 2.0
"""A chunk may take as long as this many decode steps, however short the budget: tiny chunks waste a large model."""
SMOOTHING = 0.3
"""Weight of the newest measurement in a moving average."""


def decode_weight(rows: int) -> float:
    """A lane's share of the machine: between one per lane and one per row.

    So a lone long row neither halves the speed of eight short ones nor waits for eight of their turns.
    """
    return sqrt(rows)


def padding_tokens(longest: int, rows: int, length: int) -> int:
    """Cache positions that only pad once a row of `length` joins `rows` rows of which the longest has `longest`."""
    return longest - length if length <= longest else (length - longest) * rows


@define(kw_only=True)
class Average:
    """A moving average that starts at its first measurement."""

    value: float = 0.0

    def add(self, measured: float) -> None:
        """Take one measurement in."""
        self.value = measured if self.value == 0.0 else self.value + SMOOTHING * (measured - self.value)


@define(kw_only=True)
class PrefillPace:
    """Sizes prefill chunks by time, from the tokens per second of the last ones."""

    budget_s: float
    idle_budget_s: float
    tokens_per_s: float

    def chunk_tokens(self, decode_step_s: float | None) -> int:
        """Tokens of the next chunk; `decode_step_s` is the slowest step that it holds up, None when there is none."""
        busy_s = max(self.budget_s, STEPS_PER_CHUNK * (decode_step_s or 0.0))
        budget_s = self.idle_budget_s if decode_step_s is None else busy_s
        return min(LARGEST_CHUNK, max(SMALLEST_CHUNK, int(self.tokens_per_s * budget_s)))

    def measured(self, tokens: int, elapsed_s: float) -> None:
        """Learn from a chunk; very short ones say more about overhead than about speed."""
        if tokens >= SMALLEST_CHUNK and elapsed_s > 0:
            self.tokens_per_s += 0.5 * (tokens / elapsed_s - self.tokens_per_s)

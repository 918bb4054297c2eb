"""How much of which prompt goes into the next step: arithmetic over measured times."""

from collections.abc import Sequence

from attrs import define

SMALLEST_CHUNK = 8
STEPS_PER_CHUNK = 2.0
"""Prompts may take as long as this many decode steps, however short the budget: tiny chunks waste a large model."""
SMOOTHING = 0.3
"""Weight of the newest measurement in a moving average."""
FASTEST_GROWTH = 2.0
"""Of the chunks, from one to the next: a short one says little about a long one."""


@define(kw_only=True)
class Pace:
    """Sizes the prompt tokens of a step by time, from what the last steps took."""

    budget_s: float
    idle_budget_s: float
    tokens_per_s: float
    step_s: float = 0.0
    """Moving average of steps that only decode."""

    def chunk_tokens(self, *, decoding: bool) -> int:
        """Prompt tokens of the next step, beside rows that are decoded or alone."""
        budget_s = max(self.budget_s, STEPS_PER_CHUNK * self.step_s) if decoding else self.idle_budget_s
        return max(SMALLEST_CHUNK, int(self.tokens_per_s * budget_s))

    def measured(self, elapsed_s: float, *, prompt_tokens: int, decoding: bool) -> None:
        """Learn from a step."""
        if prompt_tokens == 0:
            self.step_s = elapsed_s if self.step_s == 0.0 else self.step_s + SMOOTHING * (elapsed_s - self.step_s)
        elif prompt_tokens >= SMALLEST_CHUNK and elapsed_s > 0:
            own_s = max(elapsed_s - self.step_s, elapsed_s / 4) if decoding else elapsed_s
            rate = min(prompt_tokens / own_s, self.tokens_per_s * FASTEST_GROWTH)
            self.tokens_per_s += 0.5 * (rate - self.tokens_per_s)


def shares(remaining: Sequence[int], tokens: int) -> list[int]:
    """Of so many tokens, how many each prompt gets: `remaining` is what each has left, the oldest first.

    The oldest gets half at least, so that it gets through; the rest goes to the shortest first, so that nobody waits
    long for a long one.
    """
    if not remaining:
        return []
    others = sorted(range(1, len(remaining)), key=lambda index: remaining[index])
    parts = [0] * len(remaining)
    left = tokens - min(remaining[0], (tokens + 1) // 2)
    for index in others:
        parts[index] = min(remaining[index], left)
        left -= parts[index]
    parts[0] = min(remaining[0], tokens - sum(parts))
    return parts

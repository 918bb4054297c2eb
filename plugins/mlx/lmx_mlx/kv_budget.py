"""What the KV caches of a model may take: arithmetic over cache positions, rows times the longest row of each lane."""

from math import ceil, inf

from attrs import frozen

from lmx_hookspecs.errors import ContextLengthExceeded

GB = 1_000_000_000
STEP = 256
"""Positions by which mlx-lm's arrays grow: a row is admitted with room for so many, and is given more as it goes.

An array grows by whole steps from wherever the prompt ended, so that it may have up to 255 positions more than the
multiple of a step that is reckoned with here, or as many fewer.
"""
DEFAULT_ROWS = 4
DEFAULT_TOKENS = 4096
"""Rows of so many tokens fit where no `kv_budget_gb` is set: what the kernel reserves then."""


@frozen(kw_only=True)
class KvBudget:
    """The bytes that the kernel has reserved for KV caches, of rows and of the prefix cache together.

    `bytes_per_token` is 0 for models of states alone, which take the same whatever is in them: nothing bounds those.
    """

    total_bytes: int
    bytes_per_token: float
    context_length: int

    @classmethod
    def of(cls, budget_gb: float | None, *, bytes_per_token: float, context_length: int) -> "KvBudget":
        """By the model's `kv_budget_gb`, or the default."""
        default_bytes = DEFAULT_ROWS * min(DEFAULT_TOKENS, context_length) * bytes_per_token
        return cls(
            total_bytes=int(default_bytes if budget_gb is None else budget_gb * GB),
            bytes_per_token=bytes_per_token,
            context_length=context_length,
        )

    @property
    def capacity(self) -> float:
        """Positions that fit, of all rows together."""
        return self.total_bytes / self.bytes_per_token if self.bytes_per_token else inf

    @property
    def longest_row(self) -> int:
        """Tokens that a row may reach: the context, or what fits while it is alone."""
        return int(min(self.context_length, self.capacity))

    def positions(self, tokens: int) -> int:
        """What the arrays of a row of so many tokens have room for."""
        return min(ceil(tokens / STEP) * STEP, self.longest_row)

    def to_admit(self, tokens: int, longest: int) -> int:
        """What a row has to have before it runs: room for what it holds and for one step of its answer."""
        return self.positions(min(tokens + STEP, longest))

    def size_bytes(self, positions: int) -> int:
        """What so many positions take."""
        return ceil(positions * self.bytes_per_token)

    def left_bytes(self, positions: int) -> float:
        """What stays for the prefix cache beside rows of so many positions."""
        return max(0, self.total_bytes - self.size_bytes(positions)) if self.bytes_per_token else inf

    def check(self, prompt_tokens: int, max_tokens: int) -> None:
        """Raises ContextLengthExceeded for a row that cannot be admitted even alone."""
        wanted = min(prompt_tokens + min(max_tokens, STEP), self.context_length)
        if wanted <= self.longest_row:
            return
        raise ContextLengthExceeded(
            f"{prompt_tokens} tokens of prompt and {wanted - prompt_tokens} of answer need {wanted} x "
            f"{self.bytes_per_token:g} bytes of KV cache, {_gb(self.size_bytes(wanted))}, and this model has "
            f"{_gb(self.total_bytes)}, room for {self.longest_row} tokens; shorten the prompt, lower max_tokens or "
            "num_ctx, or raise the model's kv_budget_gb"
        )


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / GB:.3g} GB"

"""What the KV cache of a model may take: arithmetic over its cells, of which each token of a row takes one."""

from math import inf

from attrs import frozen

from lmx_hookspecs.errors import ContextLengthExceeded

GB = 1_000_000_000
STEP = 256
"""Cells that a row is admitted with beyond its prompt, and is given more of as it goes; llama.cpp rounds up to it."""
DEFAULT_ROWS = 4
DEFAULT_TOKENS = 4096
"""Rows of so many tokens fit where no `kv_budget_gb` is set: what the kernel reserves then."""


@frozen(kw_only=True)
class KvBudget:
    """The cells that there are, for rows and kept prefixes together. `bytes_per_token` is 0 where nobody knows it."""

    cells: int
    bytes_per_token: int
    context_length: int

    @property
    def longest_row(self) -> int:
        """Tokens that a row may reach: the context, or what fits while it is alone."""
        return min(self.context_length, self.cells)

    @property
    def total_bytes(self) -> int:
        """What the cells take."""
        return self.cells * self.bytes_per_token

    def cells_in(self, size_bytes: int) -> float:
        """How many cells so many bytes are."""
        return size_bytes // self.bytes_per_token if self.bytes_per_token else inf

    def check(self, prompt_tokens: int, max_tokens: int) -> None:
        """Raises ContextLengthExceeded for a row that cannot be admitted even alone."""
        wanted = min(prompt_tokens + min(max_tokens, STEP), self.context_length)
        if wanted <= self.longest_row:
            return
        raise ContextLengthExceeded(
            f"{prompt_tokens} tokens of prompt and {wanted - prompt_tokens} of answer need {wanted} x "
            f"{self.bytes_per_token} bytes of KV cache, {_gb(wanted * self.bytes_per_token)}, and this model has "
            f"{_gb(self.total_bytes)}, room for {self.longest_row} tokens; shorten the prompt, lower max_tokens or "
            "num_ctx, or raise the model's kv_budget_gb"
        )


def cells_for(budget_gb: float | None, *, bytes_per_token: int, context_length: int, rows: int) -> int:
    """How many cells to ask llama.cpp for: by the model's `kv_budget_gb`, or the default."""
    most = rows * _rounded_up(context_length)
    if budget_gb is not None and bytes_per_token:
        return min(most, max(STEP, int(budget_gb * GB) // bytes_per_token // STEP * STEP))
    return min(most, _rounded_up(DEFAULT_ROWS * min(DEFAULT_TOKENS, context_length)))


def _rounded_up(tokens: int) -> int:
    return -(-tokens // STEP) * STEP


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / GB:.3g} GB"

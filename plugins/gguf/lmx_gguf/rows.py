"""Rows: from `add` to their last piece, and the part of each that a step computes."""

from collections.abc import Sequence
from typing import Any

from attrs import define, frozen

from lmx_gguf.kv_budget import STEP
from lmx_gguf.sampling import Draw
from lmx_hookspecs import TokenRequest


@define(eq=False, kw_only=True)
class Row:
    """A row; it waits while it has no sequence."""

    id: int
    request: TokenRequest
    prompt: Any
    """Ids as an array."""
    tokens: list[int]
    """Prompt and answer."""
    max_tokens: int
    draw: Draw
    sequence: int | None = None
    computed: int = 0
    """Tokens that the KV cache holds."""
    limit: int = 0
    """Cells set aside for it, those that it has already among them."""
    cached: int = 0
    overtaken: int = 0

    @property
    def drawn(self) -> int:
        """Tokens of the answer."""
        return len(self.tokens) - len(self.prompt)

    @property
    def remaining(self) -> int:
        """Tokens to compute until the next one can be drawn: one while it is decoded."""
        return len(self.tokens) - self.computed

    @property
    def decoding(self) -> bool:
        """Whether each step gives it a token."""
        return self.remaining == 1 and self.drawn > 0

    @property
    def left(self) -> int:
        """Tokens that the answer may still have."""
        return self.max_tokens - self.drawn

    @property
    def wanted(self) -> int:
        """Cells for all it holds and for one step of its answer."""
        return len(self.tokens) + min(STEP, self.left)

    @property
    def pending(self) -> int:
        """Cells set aside that it does not have yet."""
        return max(0, self.limit - self.computed)

    @property
    def held(self) -> Any:
        """Ids of its prompt that others can share by now."""
        return self.prompt[: self.computed]


@frozen
class Work:
    """What a step computes of a row: the tokens given and `drafts` after them, with logits for the last `outputs`."""

    row: Row
    tokens: Sequence[int]
    drafts: Sequence[int] = ()
    outputs: int = 0
    first: int = 0
    """Place of its first logits among all of the step."""

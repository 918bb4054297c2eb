"""The mask of one row: what the grammar allows, and in good time what brings the answer to its end."""

from collections.abc import Sequence

from attrs import define, field
from llguidance import LLMatcher

from lmx_constrain.closing import Closing
from lmx_constrain.vocabulary import Vocabulary

LEAST_SPARE = 8
"""Tokens by which one more token may make the way to the end longer: it begins a key, or an object with such."""


@define(eq=False)
class GrammarMask:
    """A TokenMask over llguidance's matcher.

    An answer that is cut off at its longest is no JSON. So from time to time the mask looks how many tokens the
    shortest end would take from here; once hardly more are left than that, it leads there.
    """

    _matcher: LLMatcher
    _vocabulary: Vocabulary
    _closing: Closing
    _left: int
    """Tokens that the row may still have."""
    _whole: int | None
    """Tokens of the shortest answer, where one is known."""
    _spare: int = field(init=False)
    """Tokens to be left beyond those of the way to the end when it is taken."""
    _look_in: int = field(init=False)
    """Tokens after which it is time to look how far it is to the end."""
    _path: Sequence[int] | None = field(default=None, init=False)
    """The tokens that are left on the way to the end, the next one last."""
    failure: str | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        whole = self._whole or 0
        self._spare = max(LEAST_SPARE, whole // 2)
        self._look_in = max(0, self._left - whole - self._spare) // LEAST_SPARE
        if self._whole is None or whole > self._left:
            self._look_in = self._left + 1

    def allowed(self) -> bytes:
        """What the grammar allows next, or the one token that leads to the end."""
        if self._path is None and self._look_in <= 0:
            self._look()
        if self._path:
            return self._only([self._path[-1]])
        if self.failure is not None or self._path is not None:
            return self._only(sorted(self._vocabulary.eos_token_ids))
        bits = self._matcher.compute_bitmask()
        if any(bits) and not self._matcher.is_error():
            return bits
        reason = first_line(self._matcher.get_error())
        self.failure = f"the constraint could not be followed any further: {reason}; send a simpler one"
        return self._only(sorted(self._vocabulary.eos_token_ids))

    def accept(self, token: int) -> None:
        """Move on."""
        self._left -= 1
        self._look_in -= 1
        if self._path:
            self._path = self._path[:-1]
        if self.failure is None and not self._matcher.is_stopped() and not self._matcher.consume_token(token):
            self.failure = f"the constraint was broken: {first_line(self._matcher.get_error())}; send a simpler one"

    def _look(self) -> None:
        """How far it is to the end; where the way is longer than what is left, there is no use in looking again."""
        path = self._closing.path(self._matcher, limit=self._left)
        if path is None:
            self._look_in = self._left + 1
            return
        spare = self._left - len(path) - self._spare
        if spare <= 0:
            self._path = path[::-1]
        self._look_in = max(1, spare // LEAST_SPARE)

    def _only(self, tokens: Sequence[int]) -> bytes:
        bits = bytearray((len(self._vocabulary.tokens) + 7) // 8)
        for token in tokens:
            bits[token // 8] |= 1 << (token % 8)
        return bytes(bits)


def first_line(text: str) -> str:
    """Of an error of the matcher: what follows is about its insides."""
    return text.strip().partition("\n")[0]

"""The shortest way that is known from somewhere in a text to its end."""

from collections.abc import Sequence

from attrs import define, field
from llguidance import LLMatcher

from lmx_constrain.vocabulary import Vocabulary

CLOSERS = tuple(written.encode() for written in ("}", "]", '"', '"}', '"]', "0", "1", "true", "null", *"eaA-TZ:. "))
"""Tokens that end something, then those that make the least of what has to be there."""
TEXT = (b"q", b"~", b"{")
"""Where all of these may come next, one is inside a text."""
LONGEST = 512
"""Tokens after which an end is not looked for any further."""


@define(eq=False)
class Closing:
    """Finds ends for one vocabulary."""

    _vocabulary: Vocabulary
    _closers: Sequence[int] = field(init=False)
    _quotes: Sequence[int] = field(init=False)
    """The same, but first what ends a text: inside one, a brace ends nothing."""
    _text: Sequence[int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        known = self._vocabulary.by_bytes
        self._closers = [known[written] for written in CLOSERS if written in known]
        self._quotes = [*(known[written] for written in (b'"',) if written in known), *self._closers]
        self._text = [known[written] for written in TEXT if written in known]

    def path(self, matcher: LLMatcher, limit: int) -> list[int] | None:
        """Tokens that lead to the end, without the one that tells of it; None where there is no such way.

        The matcher is left as it was. A way longer than `limit` is of no use.
        """
        longest = min(LONGEST, limit)
        taken: list[int] = []
        ended = self._walk(matcher, taken, longest)
        matcher.rollback(len(taken))
        return taken if ended else None

    def _walk(self, matcher: LLMatcher, taken: list[int], longest: int) -> bool:
        while not matcher.is_accepting():
            if len(taken) >= longest:
                return False
            forced = matcher.compute_ff_tokens()
            steps = forced or [self._next(matcher.compute_bitmask())]
            for token in steps:
                if token < 0 or not matcher.try_consume_tokens([token]):
                    return False
                taken.append(token)
        return True

    def _next(self, bits: bytes) -> int:
        inside_text = bool(self._text) and all(_allows(bits, token) for token in self._text)
        for token in self._quotes if inside_text else self._closers:
            if _allows(bits, token):
                return token
        first = next((place for place, byte in enumerate(bits) if byte), None)
        if first is None:
            return -1
        return first * 8 + ((bits[first] & -bits[first]).bit_length() - 1)


def _allows(bits: bytes, token: int) -> bool:
    return bool(bits[token // 8] >> (token % 8) & 1)

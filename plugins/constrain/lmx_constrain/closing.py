"""The shortest way that is known from somewhere in a text to its end."""

from collections.abc import Sequence

from attrs import define, field
from llguidance import LLMatcher

from lmx_constrain.vocabulary import Vocabulary

SHORT = tuple(written.encode() for written in ('"', '"}', '"]', "0", "1", "true", "null", *"eaA-TZ:. "))
STRUCTURE = (b"}", b"]", *SHORT)
"""Tokens that end something, then those that make the least of what has to be there."""
PATTERN = (b'"', b"@", b"D", b"S", *SHORT, b"]", b"}")
"""The same for texts of a pattern, in which braces and brackets end nothing."""
TEXT = (b"q", b"~", b"{")
"""Where all of these may come next, one is inside a text that may be anything."""
LONGEST = 512
"""Tokens after which an end is not looked for any further."""


@define(eq=False)
class Closing:
    """Finds ends for one vocabulary, by taking again and again the first of its tokens that may come next."""

    _vocabulary: Vocabulary
    _orders: Sequence[Sequence[int]] = field(init=False)
    """Orders of preference, that of the last success first."""
    _text: Sequence[int] = field(init=False)
    _quotes: Sequence[int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._orders = [self._known(STRUCTURE), self._known(PATTERN)]
        self._text, self._quotes = self._known(TEXT), self._known((b'"',))

    def path(self, matcher: LLMatcher, limit: int) -> list[int] | None:
        """Tokens that lead to the end, without the one that tells of it; None where there is no such way.

        The matcher is left as it was, also where the way asks for more than a matcher may do, which ends the one that
        takes it. A way longer than `limit` is of no use.
        """
        for order in self._orders:
            taken: list[int] = []
            if self._walk(matcher.deep_copy(), order, taken, min(LONGEST, limit)):
                self._orders = sorted(self._orders, key=lambda other: other is not order)
                return taken
        return None

    def _known(self, wanted: Sequence[bytes]) -> list[int]:
        known = self._vocabulary.by_bytes
        return [known[written] for written in wanted if written in known]

    def _walk(self, matcher: LLMatcher, order: Sequence[int], taken: list[int], longest: int) -> bool:
        while not matcher.is_accepting():
            forced = matcher.compute_ff_tokens()
            for token in forced or [self._next(matcher.compute_bitmask(), order)]:
                if len(taken) >= longest or token < 0 or not matcher.try_consume_tokens([token]):
                    return False
                taken.append(token)
        return True

    def _next(self, bits: bytes, order: Sequence[int]) -> int:
        if self._text and all(_allows(bits, token) for token in self._text):
            order = [*self._quotes, *order]
        token = next((token for token in order if _allows(bits, token)), None)
        return _first(bits) if token is None else token


def _allows(bits: bytes, token: int) -> bool:
    return bool(bits[token // 8] >> (token % 8) & 1)


def _first(bits: bytes) -> int:
    """The first token that is allowed; -1 where there is none."""
    place = next((place for place, byte in enumerate(bits) if byte), None)
    return -1 if place is None else place * 8 + ((bits[place] & -bits[place]).bit_length() - 1)

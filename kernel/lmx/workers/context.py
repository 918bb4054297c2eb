"""Which messages of a chat are kept where not all of them fit into the context."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import groupby

from attrs import define, frozen

from lmx_hookspecs.generation import Message

INSTRUCTIONS = frozenset({"system", "developer"})
DEFAULT_RESERVE_TOKENS = 1024
"""Kept free for the answer where the request does not say how long it may get."""

Render = Callable[[Sequence[Message]], list[int] | None]
"""None where the messages are so long that they certainly do not fit."""


@frozen
class Trimmed:
    """What fits of a chat, as token ids, and the places of the messages that were left out."""

    tokens: list[int] | None
    """None where it is as `Render` has it."""
    dropped: Sequence[int] = ()

    def warning(self, messages: int) -> str:
        """What the client is told; `messages` is how many there were."""
        gone = ", ".join(_spans(self.dropped))
        return f"{len(self.dropped)} of {messages} messages were left out to fit the context: {gone}"


@define
class Cuts:
    """The ways to shorten a chat, from nothing dropped to everything that may be.

    Instructions stay, and so do the newest message and the last one of the user, which says what all this is about.
    The oldest go first; a call of tools and its results go together. As long as earlier turns are left, the first of
    them is the user's, as most chat templates demand.
    """

    _messages: Sequence[Message]

    def all(self) -> Sequence[frozenset[int]]:
        """The places dropped by each cut, each cut a superset of the one before."""
        dropped: set[int] = set()
        cuts = [frozenset(dropped)]
        units = self._droppable()
        asks = self._last_of_user()
        for number, unit in enumerate(units, 1):
            dropped.update(unit)
            following = units[number] if number < len(units) else None
            opens_turn = following is None or following[0] > asks or self._messages[following[0]].role == "user"
            if opens_turn:
                cuts.append(frozenset(dropped))
        return cuts

    def _droppable(self) -> list[list[int]]:
        newest = len(self._messages) - 1
        pinned = {self._last_of_user(), newest}
        return [unit for unit in self._units() if pinned.isdisjoint(unit)]

    def _units(self) -> list[list[int]]:
        """The places of what only makes sense together."""
        units: list[list[int]] = []
        for place, message in enumerate(self._messages):
            if message.role in INSTRUCTIONS:
                continue
            if message.role == "tool" and units:
                units[-1].append(place)
            else:
                units.append([place])
        return units

    def _last_of_user(self) -> int:
        places = [place for place, message in enumerate(self._messages) if message.role == "user"]
        return places[-1] if places else -1


def trim(messages: Sequence[Message], render: Render, room: int, whole: int) -> Trimmed:
    """All of them where those have at most `whole` tokens, else as many of the newest as have at most `room`.

    Where nothing fits, it is the fewest that make sense.

    The template says how long they are, so each try renders once: as many as there are digits in the binary number of
    the cuts.
    """
    tokens = render(messages)
    if tokens is not None and len(tokens) <= whole:
        return Trimmed(tokens)
    cuts = Cuts(messages).all()
    if len(cuts) == 1:
        return Trimmed(tokens)
    rendered: dict[int, list[int] | None] = {}

    def fits(cut: int) -> bool:
        kept = [message for place, message in enumerate(messages) if place not in cuts[cut]]
        rendered[cut] = tokens = render(kept)
        return tokens is not None and len(tokens) <= room

    last = len(cuts) - 1
    chosen = bisect_left(range(1, last), x=True, key=fits) + 1
    if chosen not in rendered:
        fits(chosen)
    return Trimmed(rendered[chosen], sorted(cuts[chosen]))


def room_for_prompt(context: int, max_tokens: int | None) -> int:
    """Tokens that a prompt may have so that an answer still fits, which never takes more than half of the context."""
    return context - min(max_tokens or DEFAULT_RESERVE_TOKENS, context // 2)


def _spans(places: Sequence[int]) -> list[str]:
    """`messages[2] to messages[5]` for places in a row."""
    spans = []
    for _, run in groupby(enumerate(places), key=lambda pair: pair[1] - pair[0]):
        row = [place for _, place in run]
        spans.append(f"messages[{row[0]}]" + (f" to messages[{row[-1]}]" if len(row) > 1 else ""))
    return spans

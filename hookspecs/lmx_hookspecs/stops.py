"""Stop strings: found across tokens, at the first place where one is complete, in linear time.

Aho and Corasick, "Efficient string matching: an aid to bibliographic search" (1975). The depth of the automaton's
state is the length of the longest suffix that could still become a stop string: just that much is held back.
"""

from collections import deque
from collections.abc import Iterable

from attrs import define, field, frozen


@define(eq=False)
class _State:
    depth: int = 0
    next: dict[str, "_State"] = field(factory=dict)
    fallback: "_State | None" = None
    match: int = 0
    """Length of the longest stop string that ends here; 0 for none."""


@frozen(eq=False)
class StopStrings:
    """The stop strings of one request, compiled once for all its rows."""

    start: _State
    first_chars: frozenset[str]

    @classmethod
    def compile(cls, stops: Iterable[str]) -> "StopStrings | None":
        """The automaton; None where there is nothing to look for."""
        wanted = [stop for stop in stops if stop]
        if not wanted:
            return None
        start = _State()
        for stop in wanted:
            _insert(start, stop)
        _link(start)
        return cls(start, frozenset(stop[0] for stop in wanted))


@define(eq=False)
class StopScanner:
    """Follows the text of one row."""

    _strings: StopStrings
    hit: bool = field(default=False, init=False)
    """Whether a stop string is complete; nothing after it is given out."""
    found: str | None = field(default=None, init=False)
    """That stop string; of several that end at the same character the longest."""
    _state: _State = field(init=False)
    _held: str = field(default="", init=False)

    def __attrs_post_init__(self) -> None:
        self._state = self._strings.start

    def feed(self, text: str) -> str:
        """The text that is certain to stand before any stop string."""
        if not self._held and self._strings.first_chars.isdisjoint(text):
            return text
        text, already = self._held + text, len(self._held)
        for position in range(already, len(text)):
            self._state = _advance(self._state, text[position])
            if self._state.match:
                self.hit, self._held = True, ""
                begin, end = position + 1 - self._state.match, position + 1
                self.found = text[begin:end]
                return text[:begin]
        certain = len(text) - self._state.depth
        self._held = text[certain:]
        return text[:certain]

    def finish(self) -> str:
        """What was held back in vain: the text ends there, and may begin again."""
        held, self._held, self._state = self._held, "", self._strings.start
        return held


def _insert(start: _State, stop: str) -> None:
    state = start
    for char in stop:
        state = state.next.setdefault(char, _State(state.depth + 1))
    state.match = len(stop)


def _link(start: _State) -> None:
    """Give each state its fallback, breadth first: the state of its longest proper suffix."""
    queue = deque([start])
    while queue:
        state = queue.popleft()
        for char, child in state.next.items():
            child.fallback = _advance(state.fallback, char) if state.fallback else start
            child.match = child.match or child.fallback.match
            queue.append(child)


def _advance(state: _State, char: str) -> _State:
    while char not in state.next and state.fallback:
        state = state.fallback
    return state.next.get(char, state)

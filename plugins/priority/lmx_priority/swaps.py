"""The order among models that do not fit into memory together: A A A B rather than A B A B."""

from collections.abc import Callable, Collection
from math import inf

from attrs import define

from lmx_priority.line import Line
from lmx_priority.place import Place


@define(eq=False)
class Swaps:
    """Requests for loaded models go before those for a cold one, which takes another's memory when it is loaded.

    The cold model whose requests have waited longest is next. It is loaded as soon as the others have nothing to do.
    After `swap_patience_s` the others let nobody in any more, so that they run dry; after twice that it goes ahead
    whatever runs, and the kernel finds room or says why not. Each swap gives the model that came in a patience of its
    own.
    """

    patience_s: float
    allowed: Callable[[Place], bool]
    """Whether a request may run as far as its key is concerned: one that may not waits for its key, not for room."""
    swapped_s: float = -inf
    loading: Line | None = None
    """The one that is being loaded at others' expense, until we hear that room was made for it."""

    def may_start(self, line: Line, lines: Collection[Line], now_s: float) -> bool:
        """Whether requests for this model may start, as far as the others are concerned."""
        front = self._front(lines, now_s)
        if front is None or not self.patience_s:
            return True
        waited_s = now_s - max(self._waits_since_s(front), self.swapped_s)
        overdue = waited_s >= 2 * self.patience_s
        if line is not front:
            return not line.cold and (overdue or waited_s < self.patience_s)
        if overdue:
            return True
        others = [other for other in lines if other is not front]
        if any(other.running for other in others):
            return False
        return waited_s >= self.patience_s or not any(self._waits(other) for other in others if not other.cold)

    def starts(self, line: Line, lines: Collection[Line], now_s: float) -> None:
        """A cold model is loaded: whoever does nothing now makes way, as far as we can tell."""
        self.swapped_s = now_s
        self.loading = line
        for other in lines:
            if other is not line and not other.running:
                other.chill(now_s)

    def under_way(self, line: Line) -> bool:
        """Whether room is being made for another model, so that this one may be about to go."""
        return self.loading is not None and self.loading is not line

    def see(self, held: Collection[str], lines: Collection[Line]) -> None:
        """These models hold memory now; what makes way for a load has gone by the time the load holds its own."""
        if self.loading is not None and self.loading.model in held:
            self.loading = None
        if self.loading is None:
            for line in lines:
                line.resident = line.resident or line.model in held

    def arrived(self, line: Line) -> None:
        """It is loaded, or has failed."""
        if self.loading is line:
            self.loading = None

    def _front(self, lines: Collection[Line], now_s: float) -> Line | None:
        """The cold model that is next; patience begins when it could, not while its requests wait for their keys."""
        fronts = []
        for line in lines:
            if line.cold and line.waiting:
                if self._waits(line):
                    fronts.append(line)
                else:
                    line.held_back_s = now_s
        return min(fronts, key=self._waits_since_s, default=None)

    def _waits(self, line: Line) -> bool:
        return bool(line.waiting) and any(map(self.allowed, line.heads()))

    def _waits_since_s(self, line: Line) -> float:
        """Of those that are not held back by their keys; there is one."""
        arrived_s = min(place.arrived_s for place in line.heads() if self.allowed(place))
        return max(arrived_s, line.chilled_s, line.held_back_s)

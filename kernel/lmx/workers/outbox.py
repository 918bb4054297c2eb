"""When pieces leave a worker: at once where somebody waits for them, else a few tokens together.

Every frame wakes the kernel and a client for each of its rows. On a machine whose cores the engine needs, that is what
a fast model loses; and nobody reads fifty pieces a second.
"""

from collections.abc import Sequence
from math import inf

from attrs import define, field

from lmx.workers.wire import WirePiece


@define(eq=False)
class Outbox:
    """Holds pieces in mid-answer until `interval_s` has passed since the last frame, and then until the step ends."""

    interval_s: float
    _held: list[WirePiece] = field(factory=list, init=False)
    _urgent: bool = field(default=False, init=False)
    _sent_s: float = field(default=-inf, init=False)

    def put(self, piece: WirePiece, *, urgent: bool) -> None:
        """Take a piece in; an urgent one, such as the first or the last of a row, takes all others along."""
        self._held.append(piece)
        self._urgent = self._urgent or urgent

    def due(self, now_s: float) -> Sequence[WirePiece]:
        """What is to be sent after a step that ended at `now_s`; often nothing."""
        if not self._held or not (self._urgent or now_s - self._sent_s >= self.interval_s):
            return ()
        self._sent_s = now_s
        return self.take_all()

    def take_all(self) -> Sequence[WirePiece]:
        """Everything, ahead of a frame that has to come after it."""
        held, self._held, self._urgent = self._held, [], False
        return held

"""How far an engine has come with one request, for those who do not read its pieces."""

from collections.abc import Callable

from attrs import define

from lmx_hookspecs.errors import LmxError
from lmx_hookspecs.generation import Piece

Over = Callable[[LmxError | None], None]
"""Told, perhaps more than once, that the engine has nothing more to do for a request, and the error it ended in."""


def untold(_: LmxError | None) -> None:
    """Nobody has to know."""


@define(eq=False)
class Progress:
    """What came from the engine, whether or not the caller has had it: an answer may be held, or wait to be read."""

    over: Over = untold
    at_work: bool = False
    """Whether any of the answer has come."""
    tokens: int = 0

    def saw(self, piece: Piece) -> None:
        """The engine has made this."""
        self.at_work = True
        self.tokens += piece.tokens

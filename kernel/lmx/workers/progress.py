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
    sent: bool = False
    """Whether the engine has had the request."""
    at_work: bool = False
    """Whether any of the answer has come."""
    prompt_tokens: int = 0
    """Those that the engine has begun with; 0 while it has not said so."""
    tokens: int = 0
    """Of the answer."""

    def saw(self, piece: Piece) -> bool:
        """The engine has made this; whether there is anything in it for the caller."""
        self.prompt_tokens = piece.prompt_tokens or self.prompt_tokens
        if piece.prompt_tokens and piece == Piece(index=piece.index, prompt_tokens=piece.prompt_tokens):
            return False
        self.at_work = True
        self.tokens += piece.tokens
        return True

    def restart(self) -> None:
        """Another worker makes the answer again."""
        self.prompt_tokens, self.tokens = 0, 0

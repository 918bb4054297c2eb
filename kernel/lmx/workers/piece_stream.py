"""The pieces of one request between the worker, which never waits, and a caller, who may."""

import asyncio
from collections import deque
from collections.abc import Iterable

from attrs import define, evolve, field

from lmx.workers.progress import Progress
from lmx_hookspecs.errors import LmxError, TimedOut
from lmx_hookspecs.generation import Piece

MAX_WAITING_PIECES = 64
"""More than these are merged, choice by choice: a slow caller gets the same text in larger pieces."""
MAX_HELD_CHARS = 1 << 20
"""A caller that leaves more than this unread has stopped reading."""


@define(eq=False)
class PieceStream:
    """One writer, one reader. `hold` keeps everything back until the last piece, then gives it merged."""

    hold: bool
    progress: Progress = field(factory=Progress)
    handed_out: bool = field(default=False, init=False)
    """Whether the caller has seen any of the answer, so that it cannot be made again."""
    _pieces: deque[Piece] = field(factory=deque, init=False)
    _held_chars: int = field(default=0, init=False)
    _merge_above: int = field(default=MAX_WAITING_PIECES, init=False)
    _complete: bool = field(default=False, init=False)
    _error: LmxError | None = field(default=None, init=False)
    _reader: asyncio.Future[None] | None = field(default=None, init=False)

    def sent(self) -> None:
        """The engine has the request."""
        self.progress.sent = True

    def put(self, piece: Piece) -> None:
        """Take a piece from the worker; raises TimedOut when the caller has stopped reading."""
        if not self.progress.saw(piece):
            return
        self._pieces.append(piece)
        self._held_chars += _chars(piece)
        self._complete = piece.usage is not None
        if len(self._pieces) > self._merge_above or (self._complete and self.hold):
            self._pieces = deque(merged(self._pieces))
            self._merge_above = len(self._pieces) + MAX_WAITING_PIECES  # there may be that many choices
        if self._held_chars > MAX_HELD_CHARS and not self.hold:
            raise TimedOut("the answer was not read fast enough and is cut off; read the stream, or ask for less")
        self._wake()
        if self._complete:
            self.progress.over(None)

    def fail(self, error: LmxError) -> None:
        """End the answer: the caller gets what waits, if it has had a part before, then the error."""
        self._error = error
        if not self.handed_out:
            self._forget()
        self._wake()
        self.progress.over(error)

    def restart(self) -> None:
        """Forget what waits: another worker makes the answer again."""
        self._forget()
        self.progress.restart()

    async def get(self) -> Piece:
        """The next piece; raises the error that the answer ended in."""
        while not self._readable():
            if self._error:
                raise self._error
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        piece = self._pieces.popleft()
        self._held_chars -= _chars(piece)
        self.handed_out = self.handed_out or _says_something(piece)
        return piece

    def _forget(self) -> None:
        self._pieces.clear()
        self._held_chars, self._complete = 0, False

    def _readable(self) -> bool:
        return bool(self._pieces) and (self._complete or not self.hold)

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader and not reader.done():
            reader.set_result(None)


def merged(pieces: Iterable[Piece]) -> list[Piece]:
    """One piece per choice with the same content in the same order; the one with `usage` stays last."""
    by_choice: dict[int, list[Piece]] = {}
    for piece in pieces:
        by_choice.setdefault(piece.index, []).append(piece)
    return sorted(map(_join, by_choice.values()), key=lambda piece: piece.usage is not None)


def _join(pieces: list[Piece]) -> Piece:
    return evolve(
        pieces[-1],
        text="".join(piece.text for piece in pieces),
        reasoning="".join(piece.reasoning for piece in pieces),
        tool_calls=[call for piece in pieces for call in piece.tool_calls],
        logprobs=[logprob for piece in pieces for logprob in piece.logprobs],
        tokens=sum(piece.tokens for piece in pieces),
        warnings=[warning for piece in pieces for warning in piece.warnings],
        finish_reason=next((piece.finish_reason for piece in pieces if piece.finish_reason), None),
        stop=next((piece.stop for piece in pieces if piece.stop), None),
    )


def _chars(piece: Piece) -> int:
    if not (piece.logprobs or piece.tool_calls):
        return len(piece.text) + len(piece.reasoning)
    arguments = sum(len(call.arguments) for call in piece.tool_calls)
    alternatives = sum(1 + len(logprob.top) for logprob in piece.logprobs)
    return len(piece.text) + len(piece.reasoning) + arguments + 20 * alternatives  # about as they are written


def _says_something(piece: Piece) -> bool:
    return bool(piece.text or piece.reasoning or piece.tool_calls or piece.finish_reason)

"""The answer of a generation as one JSON object a line."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from attrs import define, field

from lmx_hookspecs import Generation, Piece
from lmx_ollama.answers import Answer

CONTENT_TYPE = "application/x-ndjson"


def line(told: Mapping[str, Any]) -> bytes:
    """One object."""
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"


def error_line(error: Mapping[str, Any]) -> bytes:
    """The last line of a stream that breaks."""
    return line({"error": error["error"]["message"]})


@define(eq=False)
class Lines:
    """The lines of one answer; `ended` is run after the last."""

    _generation: Generation
    _answer: Answer
    _ended: Callable[[], Awaitable[None]]
    _first: "asyncio.Task[Piece | None]" = field(init=False)
    _begun: bool = False
    _over: bool = False

    def __attrs_post_init__(self) -> None:
        self._first = asyncio.create_task(self._next_piece())

    async def opened(self) -> None:
        """Returns with the first piece; raises what ended the generation before it."""
        await asyncio.wait([self._first])
        self._first.result()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._over:
            piece = await self._piece()
            if piece is None:
                self._over = True
                last = line(self._answer.last())
                await self._generation.aclose()
                await self._ended()
                return last
            told = self._answer.piece(piece)
            if told is not None:
                return line(told)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stop the generation and free its place."""
        self._over = True
        self._first.cancel()
        await asyncio.gather(self._first, return_exceptions=True)  # whatever it was, nobody listens any more
        await self._generation.aclose()

    async def _piece(self) -> Piece | None:
        if self._begun:
            return await self._next_piece()
        self._begun = True
        return await self._first

    async def _next_piece(self) -> Piece | None:
        return await anext(self._generation, None)

"""One response in the making: drives its generation, and has the result kept."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import define, field

from lmx_hookspecs import LmxError, Logger, Piece
from lmx_hookspecs.errors import Unavailable
from lmx_hookspecs.wording import reworded
from lmx_responses.feed import Feed
from lmx_responses.items import Item
from lmx_responses.objects import INTERRUPTED
from lmx_responses.recorder import Recorder, encoded
from lmx_responses.searching import Answer, SearchBegan, SearchEnded
from lmx_responses.translate import NAMES

BUG = "internal server error; the server's log has the details"
Keep = Callable[[dict[str, Any]], Awaitable[None]]


@define(eq=False)
class Run:
    """A response with its owner, what was asked, and who reads its events."""

    owner: str
    input: Sequence[Item]
    warnings: Sequence[str]
    """What the surface has dropped."""
    keep: Keep
    log: Logger
    now: Callable[[], float]
    feed: Feed | None = None
    recorder: Recorder = field(init=False)
    failure: Exception | None = None
    admitted: asyncio.Event = field(factory=asyncio.Event)
    """A model holds it, or nobody will."""
    begun: asyncio.Event = field(factory=asyncio.Event)
    """Its first piece has come, or none will."""
    task: "asyncio.Task[None] | None" = None
    is_admitted: bool = False
    """Whether a model has ever held it."""
    has_pieces: bool = False
    _interrupted: bool = False
    _last: list[bytes] | None = None
    """Events that are held back until the response is kept: who reads them may ask for it at once."""

    @property
    def id(self) -> str:
        """The response's id."""
        return str(self.recorder.response["id"])

    def emit(self, type: str, fields: Mapping[str, Any]) -> None:
        """Take an event of the recorder."""
        if self.feed is None:
            return
        if self._last is not None:
            self._last.append(encoded(type, fields))
        else:
            self.feed.put(encoded(type, fields))

    async def drive(self, admit: Callable[[], Awaitable[Answer]]) -> None:
        """From its admission to its end, which is kept; `failure` says what went wrong."""
        self.recorder.create()
        try:
            await self._follow(admit)
        except LmxError as error:
            told = reworded(error, NAMES)
            await self._end(partial(self._fail, told, told))
        except asyncio.CancelledError:
            await self._end(self._give_up)
            raise
        except Exception as error:  # the boundary of a response: a bug must not leave it in progress for ever
            self.log.error("response_failed", response=self.id, exc_info=error)
            await self._end(partial(self._fail, error, LmxError(BUG)))

    def start(self, admit: Callable[[], Awaitable[Answer]]) -> None:
        """The same in a task of its own."""
        self.task = asyncio.create_task(self.drive(admit), name=f"response {self.recorder.response['id']}")

    async def stop(self, *, interrupted: bool = False) -> None:
        """End it, and return once its end is kept."""
        if self.task is not None:
            self._interrupted = interrupted
            self.task.cancel()
            await asyncio.wait([self.task])

    async def _follow(self, admit: Callable[[], Awaitable[Answer]]) -> None:
        generation = await admit()
        self.is_admitted = True
        try:
            self.recorder.begin(generation.model)
            self.admitted.set()
            async for piece in generation:
                self._record(piece)
                self.has_pieces = True
                self.begun.set()
                if self.feed is not None:
                    await self.feed.room()
        finally:
            await generation.aclose()
        self.recorder.response["model"] = generation.model
        await self._end(lambda: self.recorder.finish(int(self.now()), [*self.warnings, *generation.warnings]))

    def _record(self, step: Piece | SearchBegan | SearchEnded) -> None:
        if isinstance(step, SearchBegan):
            self.recorder.begin_search(step.queries)
        elif isinstance(step, SearchEnded):
            self.recorder.end_search(step.sources)
        else:
            self.recorder.add(step)

    async def _end(self, conclude: Callable[[], None]) -> None:
        """Conclude it, have it kept, then tell."""
        if self._last is None:  # else it was cancelled while its end was being kept
            self._last = []
            try:
                conclude()
            except LmxError:
                self._last = None
                raise
        await self.keep(self.recorder.snapshot())
        if self.feed is not None:
            for event in self._last:
                self.feed.put(event)
            self.feed.end()
        self.admitted.set()
        self.begun.set()

    def _fail(self, failure: Exception, told: LmxError) -> None:
        self.failure = failure
        self.recorder.fail(told)

    def _give_up(self) -> None:
        if self._interrupted:
            self._fail(told := Unavailable(INTERRUPTED, code="overloaded"), told)
        else:
            self.recorder.cancel()

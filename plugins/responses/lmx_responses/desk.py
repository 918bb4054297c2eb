"""What the handlers share: the responses in the making, and the store of all others."""

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, field

from lmx_hookspecs import Context, LmxError, Logger, Request
from lmx_hookspecs.errors import Busy, InvalidRequest, NotFound
from lmx_hookspecs.ownership import owner_of
from lmx_hookspecs.places import home
from lmx_responses.config import ResponsesConfig
from lmx_responses.database import Bounds, Stored
from lmx_responses.feed import Feed
from lmx_responses.items import REFERENCE, Item
from lmx_responses.objects import UNFINISHED, new_response
from lmx_responses.outputs import usable
from lmx_responses.recorder import Recorder
from lmx_responses.run import Run
from lmx_responses.searching import Answer
from lmx_responses.store import Store
from lmx_responses.unknown import LOGPROBS, RESULTS

if TYPE_CHECKING:
    import asyncio

    from lmx_responses.requests import ResponseRequest

RETRY_S = 5.0


@define(eq=False)
class Desk:
    """Every response has one owner: the API key that asked for it. To others it does not exist."""

    config: ResponsesConfig
    store: Store
    log: Logger
    now: Callable[[], float]
    new_id: Callable[[str], str]
    _running: dict[str, Run] = field(factory=dict)
    """Those in the background."""
    _ended: dict[str, Run] = field(factory=dict)
    """The latest of them, for clients that come back to their stream; the oldest first."""

    def new_run(self, request: Request, given: Sequence[Item], warnings: Sequence[str]) -> Run:
        """A response that nobody has begun with; raises Busy where too many are in the background."""
        body: ResponseRequest = request.body
        if body.background and len(self._running) >= self.config.max_background:
            raise Busy(
                f"{len(self._running)} responses are being made in the background, and no more may; try again later",
                retry_after_s=RETRY_S,
            )
        follows = body.stream or body.background
        run = Run(
            owner_of(request.key),
            given,
            warnings,
            self._keep if body.store is not False else _forget,
            self.log,
            self.now,
            Feed(keeps=bool(body.background)) if follows else None,
        )
        included = body.include or ()
        response = new_response(body, self.new_id("resp_"), int(self.now()))
        run.recorder = Recorder(response, run.emit, self.new_id, LOGPROBS in included, RESULTS in included)
        return run

    async def begin_to_keep(self, run: Run) -> None:
        """Write down that it is being made, if it is to be kept at all; raises what `Store.put` raises."""
        if run.keep is _forget:
            return
        try:
            await self.store.put(run.owner, run.recorder.snapshot(), run.input)
        except BaseException:
            await self.forget(run)  # a client that went away meanwhile must not leave it in progress for ever
            raise

    async def forget(self, run: Run) -> None:
        """Nobody will hear of it."""
        if run.keep is not _forget:
            await self.store.remove(run.owner, run.id)

    def make_in_background(self, run: Run, admit: Callable[[], Awaitable[Answer]]) -> None:
        """Make it whether the client is there or not."""
        run.start(admit)
        self._running[run.id] = run
        if run.task is not None:
            run.task.add_done_callback(partial(self._on_end, run))

    def run_of(self, owner: str, response_id: str) -> Run | None:
        """One of that owner in the background, or of those that ended lately."""
        run = self._running.get(response_id) or self._ended.get(response_id)
        return run if run is not None and run.owner == owner else None

    async def stored(self, owner: str, response_id: str) -> Stored:
        """As it is now; raises NotFound."""
        run = self._running.get(response_id)
        if run is not None and run.owner == owner:
            return Stored(run.recorder.snapshot(), run.input)
        stored = await self.store.get(owner, response_id)
        if stored is None:
            raise NotFound(f"there is no response {response_id!r}; it may have expired", param="response_id")
        return stored

    async def cancel(self, owner: str, response_id: str) -> dict[str, Any]:
        """End one in the background; one that has ended stays as it is. Raises NotFound and InvalidRequest."""
        run = self._running.get(response_id)
        if run is not None and run.owner == owner:
            await run.stop()
            return run.recorder.snapshot()
        response = (await self.stored(owner, response_id)).response
        if response["status"] in UNFINISHED:
            raise InvalidRequest(
                "only responses made with background: true can be cancelled; close the connection of this one",
                param="response_id",
            )
        return response

    async def delete(self, owner: str, response_id: str) -> None:
        """Forget one, ending it if need be; raises NotFound."""
        run = self.run_of(owner, response_id)
        if run is not None:
            await run.stop()
            self._ended.pop(response_id, None)
        if not await self.store.remove(owner, response_id):
            raise NotFound(f"there is no response {response_id!r}; it may have expired", param="response_id")

    async def history(self, owner: str, response_id: str | None) -> Sequence[Item]:
        """All items of the conversation up to that response; raises InvalidRequest."""
        if response_id is None:
            return []
        try:
            before = await self.stored(owner, response_id)
        except NotFound as error:
            raise _no_history(f"there is no response {response_id!r} to go on from") from error
        if before.response["status"] in UNFINISHED:
            raise _no_history(f"the response {response_id!r} is still being made; wait for its end")
        return [*before.input, *filter(usable, before.response["output"])]

    async def resolved(self, owner: str, items: Sequence[Item]) -> list[Item]:
        """With the items themselves in place of references to them; raises InvalidRequest."""
        return [await self._resolved(owner, item, place) for place, item in enumerate(items)]

    async def start(self) -> None:
        """Nothing: the store opens when it is needed."""

    async def close(self) -> None:
        """End what is being made, and the store."""
        for run in list(self._running.values()):
            await run.stop(interrupted=True)
        await self.store.close()

    def describe(self) -> Mapping[str, Any]:
        """What is being made in the background, and what is at hand of those that ended."""
        kept = sum(run.feed.size_bytes for run in self._ended.values() if run.feed)
        return {"background": len(self._running), "replayable": len(self._ended), "replay_bytes": kept}

    async def _resolved(self, owner: str, item: Item, place: int) -> Item:
        if item["type"] != REFERENCE:
            return item
        found = await self.store.item(owner, item["id"])
        if found is None:
            raise InvalidRequest(f"input[{place}]: there is no item {item['id']!r}", param=f"input[{place}].id")
        return found

    async def _keep(self, response: dict[str, Any]) -> None:
        """A response is worth more than its being kept: the client gets it even where the disk is full."""
        try:
            await self.store.update(response)
        except LmxError as error:
            self.log.error("response_not_kept", response=response["id"], reason=error.message)

    def _on_end(self, run: Run, _: "asyncio.Task[None]") -> None:
        del self._running[run.id]
        self._ended[run.id] = run
        run.input = ()  # it is in the store; what is left is what `replay_bytes` counts
        while self.describe()["replay_bytes"] > self.config.replay_bytes:
            del self._ended[next(iter(self._ended))]


def open_desk(ctx: Context) -> Desk:
    """The desk of a server; nothing is read or written before the first response."""
    config: ResponsesConfig = ctx.config
    bounds = Bounds(config.max_responses, config.max_bytes, config.ttl_s)
    store = Store(home(), bounds, time.time, ctx.log)
    return Desk(config, store, ctx.log, time.time, lambda prefix: f"{prefix}{secrets.token_hex(16)}")


def _no_history(message: str) -> InvalidRequest:
    return InvalidRequest(message, code="previous_response_not_found", param="previous_response_id")


async def _forget(_: dict[str, Any]) -> None:
    """The `keep` of a response that is not kept."""

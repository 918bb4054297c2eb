"""Runs a part in a worker: an object with async methods, on an asyncio loop on the main thread, one task a call."""

import asyncio
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from attrs import define, field

from lmx.workers import wire
from lmx.workers.activity import Activity
from lmx.workers.frames import FrameError, FrameSocket
from lmx.workers.part_values import Joiner, packed, pieces, signature_of, unpacked
from lmx_hookspecs.errors import EngineFailed, InvalidRequest, LmxError

TURNING = "loop"
TURN_INTERVAL_S = 0.5


class Closable(Protocol):
    """What every part is, beside its own methods."""

    async def close(self) -> None:
        """Let go of everything."""


@define(eq=False)
class PartHost:
    """A call's arguments and its result travel in pieces, so that large ones hold nobody up."""

    _open: Callable[[], Closable]
    _protocol: type
    """Describes the methods that may be called."""
    _link: FrameSocket
    _activity: Activity
    _runner: asyncio.Runner = field(factory=asyncio.Runner, init=False)
    _stopping: asyncio.Event = field(factory=asyncio.Event, init=False)
    _tasks: dict[int, asyncio.Task[None]] = field(factory=dict, init=False)
    _joiner: Joiner = field(factory=Joiner, init=False)
    _part: Closable = field(init=False)

    def load(self) -> Mapping[str, Any]:
        """Open it on the loop, so that it may start tasks of its own."""
        self._runner.run(self._load())
        return {}

    def run(self) -> None:
        """Serve until `stop`, then close the part."""
        with self._runner:
            self._runner.run(self._serve())

    def receive(self, frame: Any) -> None:
        """A frame from the kernel."""
        self._runner.get_loop().call_soon_threadsafe(self._dispatch, frame)

    def stop(self) -> None:
        """Let `run` return."""
        self._runner.get_loop().call_soon_threadsafe(self._stopping.set)

    async def _load(self) -> None:
        self._part = self._open()
        self._activity.begin(TURNING)

    async def _serve(self) -> None:
        turning = asyncio.create_task(self._turn())
        await self._stopping.wait()
        running = list(self._tasks.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        turning.cancel()
        await self._part.close()

    async def _turn(self) -> None:
        """A call may take long; a loop that stands still is wedged."""
        while True:
            self._activity.begin(TURNING)
            await asyncio.sleep(TURN_INTERVAL_S)

    def _dispatch(self, frame: Sequence[Any]) -> None:
        match frame:
            case ["piece", call_id, piece]:
                self._joiner.put(call_id, piece)
            case ["call", call_id, method, last]:
                self._start(call_id, self._call(call_id, method, self._joiner.whole(call_id, last)))
            case ["cancel", call_id]:
                self._joiner.drop(call_id)
                if task := self._tasks.get(call_id):
                    task.cancel()

    def _start(self, call_id: int, work: Any) -> None:
        self._activity.live.add(call_id)
        task = asyncio.get_running_loop().create_task(self._guarded(call_id, work))
        self._tasks[call_id] = task
        task.add_done_callback(lambda _: self._ended(call_id))

    def _ended(self, call_id: int) -> None:
        del self._tasks[call_id]
        self._activity.live.discard(call_id)

    async def _guarded(self, call_id: int, work: Any) -> None:
        try:
            await work
        except LmxError as error:
            self._link.send("failed", call_id, wire.error_to_wire(error))
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # the boundary around one call: panics of Rust are no Exceptions
            traceback.print_exc()
            told = EngineFailed(f"it gave up: {type(error).__name__}: {error}")
            self._link.send("failed", call_id, wire.error_to_wire(told))

    async def _call(self, call_id: int, method: str, body: bytes) -> None:
        signature = signature_of(self._protocol, method)
        arguments = signature.arguments(unpacked(body))
        result = await getattr(self._part, method)(**arguments)
        try:
            sent = packed(result)
        except FrameError as error:
            raise InvalidRequest(f"the answer cannot be sent: {error}") from error
        for piece, last in pieces(sent):
            self._link.send(*(("result", call_id, piece) if last else ("piece", call_id, piece)))
            await asyncio.sleep(0)

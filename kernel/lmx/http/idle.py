"""Connections between two requests: each is closed after a while, and all of them once the server stops."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import define, field

Close = Callable[[], Awaitable[None]]
LAST_CALL_S = 0.05
"""From when the time is up until the end: a loop that was busy first takes in what has come by then."""


@define(eq=False)
class IdleConnections:
    """Knows which connections wait for a request."""

    timeout_s: float
    _waiting: "set[IdleTimer]" = field(factory=set)
    _stopping: bool = False

    def timer(self) -> "IdleTimer":
        """One for a new connection."""
        return IdleTimer(self)

    def close(self) -> None:
        """Close those that wait now, and every other one as soon as it does."""
        self._stopping = True
        for timer in self._waiting:
            timer.last_call()

    def begin(self, timer: "IdleTimer") -> float:
        """It waits from now on; for how many seconds it may."""
        self._waiting.add(timer)
        return 0.0 if self._stopping else self.timeout_s

    def end(self, timer: "IdleTimer") -> None:
        """It does not wait any more."""
        self._waiting.discard(timer)


@define(eq=False)
class IdleTimer:
    """What Hypercorn's TCPServer uses of its AsyncioSingleTask, with a timer of the loop where that has two tasks.

    Each request waits until they have ended, which takes five turns of the loop.
    """

    _connections: IdleConnections
    _task_group: Any = None
    _close: Close | None = None
    _timer: asyncio.TimerHandle | None = None
    _retired: bool = False

    async def restart(self, task_group: Any, close: Close) -> None:
        """The connection waits: call `close`, in a task of the group, when that has taken too long."""
        await self.stop()
        if not self._retired:
            self._task_group, self._close = task_group, close
            self._set(self._connections.begin(self), self.last_call)

    async def stop(self) -> None:
        """It does not wait any more; a second time changes nothing."""
        self._cancel()
        self._connections.end(self)

    async def retire(self) -> None:
        """It is being closed, and will not wait again: its group takes no more tasks."""
        self._retired = True
        await self.stop()

    def last_call(self) -> None:
        """Its time is up: close it in a moment."""
        self._set(LAST_CALL_S, self._expire)

    def _set(self, delay_s: float, then: Callable[[], None]) -> None:
        self._cancel()
        self._timer = asyncio.get_running_loop().call_later(delay_s, then)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        self._connections.end(self)
        self._task_group.spawn(self._close)

"""Connections between two requests: each is closed after a while, and all of them once the server stops."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import define, field

Close = Callable[[], Awaitable[None]]


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
        for timer in list(self._waiting):
            timer.expire()

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

    async def restart(self, task_group: Any, close: Close) -> None:
        """The connection waits: call `close`, in a task of the group, when that has taken too long."""
        self._forget()
        self._task_group, self._close = task_group, close
        delay_s = self._connections.begin(self)
        self._timer = asyncio.get_running_loop().call_later(delay_s, self.expire)

    async def stop(self) -> None:
        """It does not wait any more, or is closed; a second time changes nothing."""
        self._forget()

    def expire(self) -> None:
        """Close it now."""
        close = self._close
        self._forget()
        if close is not None:
            self._task_group.spawn(close)

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._close = None
        self._connections.end(self)

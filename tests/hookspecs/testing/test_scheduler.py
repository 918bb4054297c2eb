import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from attrs import define, field

from lmx_hookspecs import Ticket
from lmx_hookspecs.errors import TimedOut
from lmx_hookspecs.testing import check_scheduler


@define
class OneAtATime:
    fault: str = ""
    waiting: int = 0
    running: int = 0
    turn: asyncio.Lock = field(factory=asyncio.Lock)

    def admit(self, ticket: Ticket) -> AbstractAsyncContextManager[None]:
        return self._admit(ticket)

    @asynccontextmanager
    async def _admit(self, ticket: Ticket) -> AsyncIterator[None]:
        if ticket.deadline is not None and self.fault != "timeless":
            raise TimedOut("too late")
        if self.fault != "open":
            await self._wait(ticket)
        self.running += 1
        try:
            yield
        except ZeroDivisionError:
            if self.fault == "leaky":
                self.running += 1
            raise
        finally:
            self.running -= 1
            if self.turn.locked():
                self.turn.release()

    async def _wait(self, ticket: Ticket) -> None:
        self.waiting += 1
        try:
            if ticket.deadline is None:
                await self.turn.acquire()
        finally:
            self.waiting -= 1

    def describe(self) -> Mapping[str, Any]:
        facts = {"waiting": self.waiting, "running": self.running, "limit": 1}
        return {"waiting": 0} if self.fault == "silent" else facts


def test_a_sound_scheduler_passes() -> None:
    check_scheduler(OneAtATime())


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("silent", "no integer 'running'"),
        ("open", "admitted beyond limit=1"),
        ("timeless", "past its deadline was admitted"),
        ("leaky", "still holds its place"),
    ],
)
def test_an_unsound_scheduler_is_found_out(fault: str, reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_scheduler(OneAtATime(fault))

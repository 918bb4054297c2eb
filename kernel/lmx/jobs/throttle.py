"""Something that is to happen at once, but not too often."""

import asyncio
from collections.abc import Callable

from attrs import define, field


@define(eq=False)
class Throttle:
    """Calls `act` when called, at most once per interval: what came too early is made up for, once, at its end."""

    _act: Callable[[], None]
    _interval_s: float
    _pause: asyncio.TimerHandle | None = field(default=None, init=False)
    _owed: bool = field(default=False, init=False)

    def __call__(self) -> None:
        """Act now, or as soon as the interval allows."""
        self._owed = True
        if self._pause is None:
            self._settle()

    def close(self) -> None:
        """Owe nothing any more."""
        self._owed = False
        if self._pause:
            self._pause.cancel()

    def _settle(self) -> None:
        self._pause = None
        if self._owed:
            self._owed = False
            self._pause = asyncio.get_running_loop().call_later(self._interval_s, self._settle)
            self._act()

"""One node: where it is, what it does, how it is, and the calls that it gets."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from attrs import define, field, frozen

from lmx_hookspecs.errors import EngineFailed, Unavailable
from lmx_remote.failures import Unreachable
from lmx_remote.link import Link
from lmx_remote.stats import CallStats


@frozen(kw_only=True)
class Served:
    """A model of a node: its own name for it, and what is known of it."""

    name: str
    capabilities: frozenset[str]
    context_length: int | None = None


@define(eq=False, kw_only=True)
class Node:
    """A server that answers for us."""

    name: str
    origin: Any = None
    """What the configuration says of it."""
    link: Link
    capabilities: frozenset[str]
    models: Mapping[str, Served]
    """By our names for them; replaced as a whole when they are discovered."""
    discovers: bool = False
    """Its models are asked for again and again."""
    context_length: int | None = None
    max_concurrent: int
    total_s: float | None = None
    """Seconds that a call may take which answers all at once; None is as long as it does not go silent."""
    health_path: str | None = None
    facts: Mapping[str, Any] = field(factory=dict)
    """Of its configuration, for operators."""
    takes_base64: bool = field(default=True, init=False)
    """It sends vectors in base64; found out when it refuses to."""
    healthy: bool | None = field(default=None, init=False)
    """As it was last seen; None before."""
    failing: set[str] = field(factory=set, init=False)
    """Models, by its own names, of which the last call failed; they get another chance with every look at the node."""
    outstanding: int = field(default=0, init=False)
    """Calls that it has, or that wait for one of its places."""
    stats: CallStats = field(factory=CallStats, init=False)
    last_check_at: float | None = field(default=None, init=False)
    """Unix time in seconds."""
    last_error: str | None = field(default=None, init=False)
    _places: asyncio.Semaphore = field(init=False)
    _left: asyncio.Event = field(factory=asyncio.Event, init=False)
    """The last call has left it."""

    def __attrs_post_init__(self) -> None:
        self._places = asyncio.Semaphore(self.max_concurrent)

    @asynccontextmanager
    async def call(self, model: str) -> AsyncIterator[Link]:
        """A place for one call of this model, whose end is counted; raises what it raises.

        That nobody answers is an illness of the node; an answer that is none, one of the model alone.
        """
        self.outstanding += 1
        try:
            async with self._places:
                began_s = time.monotonic()
                try:
                    yield self.link
                except (EngineFailed, Unavailable) as error:
                    self.stats.failed()
                    self.last_error = error.detail or error.message
                    if isinstance(error, Unreachable):
                        self.healthy = False
                    elif isinstance(error, EngineFailed):
                        self.failing.add(model)
                    raise
                except BaseException:
                    self.stats.ended_otherwise()
                    raise
                self.stats.succeeded((time.monotonic() - began_s) * 1000)
                self.healthy = True
                self.failing.discard(model)
        finally:
            self.outstanding -= 1
            self._left.set()

    async def idle(self) -> None:
        """Return once it has no calls."""
        while self.outstanding:
            self._left.clear()
            await self._left.wait()

    def looked_at(self, problem: str | None) -> None:
        """What a look at it has shown."""
        self.last_check_at = time.time()
        self.healthy = problem is None
        self.failing.clear()
        if problem is not None:
            self.last_error = problem

    def describe(self, targets: Sequence[str]) -> Mapping[str, Any]:
        """For operators; `targets` are the models that it serves, by the ids that guards know them by."""
        return {
            "url": self.link.url,
            **self.facts,
            "healthy": self.healthy,
            **self.stats.describe(),
            "outstanding": self.outstanding,
            "last_check_at": self.last_check_at,
            "last_error": self.last_error,
            "targets": list(targets),
        }

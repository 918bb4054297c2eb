"""Looks at nodes again and again."""

import asyncio
import random
from collections.abc import Callable, Sequence

from attrs import define, field

from lmx_hookspecs import LmxError, Logger
from lmx_remote.config import RemoteConfig
from lmx_remote.looking import discover, problem_of
from lmx_remote.node import Node

JITTER = 0.1
"""Share by which the pause between two looks varies, so that nodes are not asked all at the same time."""


@define(eq=False)
class Watches:
    """One task per node, from `start` to `close`."""

    config: Callable[[], RemoteConfig]
    log: Logger
    _nodes: Sequence[Node] = ()
    _tasks: "dict[Node, asyncio.Task[None]]" = field(factory=dict, init=False)
    _started: bool = field(default=False, init=False)

    def look_at(self, nodes: Sequence[Node]) -> None:
        """At these from now on, and no longer at others."""
        self._nodes = nodes
        for node in self._tasks.keys() - set(nodes):
            self._tasks.pop(node).cancel()
        if self._started:
            self._tasks |= {node: self._begin(node) for node in nodes if node not in self._tasks}

    def start(self) -> None:
        """Look at all of them at once, and then again and again."""
        self._started = True
        self.look_at(self._nodes)

    async def close(self) -> None:
        """Look no more."""
        self._started = False
        tasks = list(self._tasks.values())
        self.look_at(())
        if tasks:
            await asyncio.wait(tasks)

    async def look(self, nodes: Sequence[Node]) -> None:
        """Look at these now."""
        await asyncio.gather(*map(self._look, nodes))

    def _begin(self, node: Node) -> "asyncio.Task[None]":
        return asyncio.create_task(self._watch(node), name=f"watch {node.name}")

    async def _watch(self, node: Node) -> None:
        while True:
            try:
                await self._look(node)
            except Exception as error:  # a stranger's answer may break us: it is looked at again all the same
                self.log.error("node_watch_failed", node=node.name, exc_info=error)
            jitter = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  it guards nothing
            await asyncio.sleep(self.config().health_interval_s * jitter)

    async def _look(self, node: Node) -> None:
        was = node.healthy
        problem = await problem_of(node, self.config().health_timeout_s)
        if problem is None and node.discovers:
            problem = await self._discover(node)
        node.looked_at(problem)
        if node.healthy is not was:
            tell = self.log.info if node.healthy else self.log.warning
            tell("node_healthy" if node.healthy else "node_unhealthy", node=node.name, reason=problem)

    async def _discover(self, node: Node) -> str | None:
        try:
            found = await discover(node, self.config().health_timeout_s)
        except LmxError as error:
            return error.detail or error.message
        if found != node.models:  # else what was made of them still holds
            node.models = found
        return None

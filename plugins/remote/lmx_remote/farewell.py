"""Nodes that the configuration no longer has: they end what they have begun, then nothing of them is left."""

import asyncio
from collections.abc import Callable, Collection, Sequence

from attrs import define, field

from lmx_hookspecs import Context, LmxError
from lmx_hookspecs.errors import ModelNotFound
from lmx_remote.node import Node


@define(eq=False)
class Farewells:
    """One task per change of the configuration that took nodes away."""

    ctx: Context
    is_back: Callable[[str], bool]
    """Whether a model that went with its node is served again."""
    _tasks: "set[asyncio.Task[None]]" = field(factory=set, init=False)
    _leaving: set[Node] = field(factory=set, init=False)

    def bid(self, nodes: Sequence[Node], models: Collection[str]) -> None:
        """Close these nodes once they are idle, and unload these models, which nobody serves any more."""
        if nodes:
            self._leaving |= set(nodes)
            task = asyncio.create_task(self._part(nodes, models), name=f"leave {', '.join(one.name for one in nodes)}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait for nobody any more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for node in self._leaving:
            await node.link.close()

    async def _part(self, nodes: Sequence[Node], models: Collection[str]) -> None:
        for node in nodes:
            await node.idle()
            await node.link.close()
            self._leaving.discard(node)
            self.ctx.log.info("node_removed", node=node.name, url=node.link.url)
        for model_id in models:
            await self._unload(model_id)

    async def _unload(self, model_id: str) -> None:
        if self.is_back(model_id):
            return
        try:
            await self.ctx.services.models.unload(model_id)
        except ModelNotFound:
            pass  # nobody has asked for it
        except LmxError as error:
            self.ctx.log.warning("model_of_a_removed_node_stays", model=model_id, reason=error.message)

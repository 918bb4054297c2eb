"""The folders of `rag.watch`, each followed by a task."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field

from lmx_hookspecs import Context
from lmx_hookspecs.errors import InvalidRequest
from lmx_rag.following import Follower
from lmx_rag.requests import MAX_NAME
from lmx_rag.wire import checked_name


@define(eq=False)
class Watcher:
    """Follows all of them while the server runs."""

    ctx: Context
    followers: list[Follower] = field(factory=list)
    _tasks: list["asyncio.Task[None]"] = field(factory=list)

    async def start(self) -> None:
        """Begin; nothing is read where nothing is to be watched."""
        rag = self.ctx.services.config.section("rag")
        self.followers = followers_of(self.ctx, rag.watch) if rag.enabled else []
        self._tasks = [asyncio.create_task(follower.run()) for follower in self.followers]

    async def close(self) -> None:
        """End all of them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def describe(self) -> Mapping[str, Any]:
        """The state of each folder."""
        return {"watched": [follower.describe() for follower in self.followers]}


def followers_of(ctx: Context, watch: Mapping[str, Sequence[Path]]) -> list[Follower]:
    """One for each folder; a second one of the same name in one collection would claim the same document ids."""
    found: dict[tuple[str, str], Follower] = {}
    for collection, folders in watch.items():
        for folder in folders:
            root = folder.expanduser().resolve()
            place = (collection, root.name)
            reason = _refusal(collection, found.get(place))
            if reason is None:
                found[place] = Follower(ctx, collection, root)
            else:
                ctx.log.error("watch_refused", collection=collection, folder=str(root), reason=reason)
    return list(found.values())


def _refusal(collection: str, other: Follower | None) -> str | None:
    if other is not None:
        return f"{other.root} has the same name, and documents are called after their folder; use another collection"
    try:
        checked_name(collection)
    except InvalidRequest as error:
        return error.message
    return None if len(collection) <= MAX_NAME else f"the name of the collection has more than {MAX_NAME} characters"


def watcher_of(ctx: Context) -> Watcher:
    """Not yet started."""
    return Watcher(ctx)

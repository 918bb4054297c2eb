"""What the handlers share: files, vector stores, and what goes on in the background."""

import asyncio
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Concatenate, ParamSpec

from attrs import define, field

from lmx_hookspecs import Context, LmxError, Logger, Request
from lmx_hookspecs.events import STOPPING
from lmx_hookspecs.ownership import owner_of
from lmx_hookspecs.places import home
from lmx_hookspecs.retrieving import RetrievalService
from lmx_vectorstores.blobs import Blobs
from lmx_vectorstores.changes import Changes
from lmx_vectorstores.config import VectorStoresConfig
from lmx_vectorstores.errands import Errands
from lmx_vectorstores.files_table import (
    Bounds,
    NewFile,
    add_file,
    check_room,
    delete_file,
    expired_files,
    known_files,
    owned_file,
)
from lmx_vectorstores.ingestion import Ingestion
from lmx_vectorstores.ingestor import Ingestor
from lmx_vectorstores.kept_table import kept_files
from lmx_vectorstores.ledger import Ledger
from lmx_vectorstores.paging import Row
from lmx_vectorstores.removals import Removals
from lmx_vectorstores.stores_table import check_owner, next_expiry, sweep_stores, touch_stores

P = ParamSpec("P")
STORE_PREFIX = "vs_"
SEARCHED = "file_search"
"""The event by which others tell that they have searched collections: `{"collections": [...]}`."""


@define(eq=False)
class Desk:
    """Each file and vector store has one owner: the API key that asked for it. To others it does not exist."""

    config: VectorStoresConfig
    ledger: Ledger
    blobs: Blobs
    removals: Removals
    changes: Changes
    ingestor: Ingestor
    errands: Errands
    services: Callable[[], Any]
    log: Logger
    now: Callable[[], float]
    new_id: Callable[[str], str]
    _sweeper: "asyncio.Task[None] | None" = None
    _expiries: asyncio.Event = field(factory=asyncio.Event)
    _touches: set["asyncio.Task[None]"] = field(factory=set)

    @property
    def bounds(self) -> Bounds:
        """How much may be kept."""
        return Bounds(files=self.config.max_files, size_bytes=self.config.max_bytes)

    @property
    def retrieval(self) -> RetrievalService:
        """Where documents are kept and found."""
        service: RetrievalService = self.services().retrieval
        return service

    async def check_owner(self, request: Request) -> None:
        """Raises NotFound where the path names a vector store or a file of another key."""
        names, owner = request.path_params, owner_of(request.key)
        if "store_id" in names:  # what is in it is of the same owner
            await self.ledger.ask(check_owner, names["store_id"], owner)
        elif "file_id" in names:
            await self.ledger.ask(owned_file, names["file_id"], owner)

    async def keep_file(self, source: Path, file: NewFile) -> Row:
        """Keep its bytes, then the file; raises InsufficientStorage. Ends once begun, whoever goes away."""
        await self.ledger.ask(check_room, file.size_bytes, self.bounds)
        return await self.errands.run(self._keep(source, file))

    async def drop_file(self, file_id: str) -> None:
        """Delete a file, and what stores hold of it; raises NotFound."""
        await self.forget(delete_file, file_id)

    async def join(
        self, question: Callable[Concatenate[Connection, P], Sequence[int]], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Ask what has files taken in, and begin with them. Ends once begun, whoever goes away."""
        await self.errands.run(self._join(question, *args, **kwargs))

    async def forget(
        self, question: Callable[Concatenate[Connection, P], Sequence[int]], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Ask what deletes or cancels something, and let go of it. Ends once begun, whoever goes away."""
        await self.errands.run(self._forget(question, *args, **kwargs))

    async def let_go(self, members: Sequence[int]) -> None:
        """What was just deleted or cancelled in the database is stopped, and deleted everywhere else."""
        await self.ingestor.stop(members)
        await self.removals.run()

    def work(self) -> None:
        """There is something to take in, or something new that may expire."""
        self.ingestor.wake()
        self._expiries.set()
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep_again_and_again(), name="sweep vector stores")

    async def sweep(self) -> None:
        """Delete what has expired, and what could not be deleted before; change what could not be changed."""
        members = await self.ledger.ask(sweep_stores, self.now())
        for file_id in await self.ledger.ask(expired_files, self.now()):
            members += await self.ledger.ask(delete_file, file_id)
        await self.let_go(members)
        await self.changes.run()

    async def start(self) -> None:
        """Go on with what an earlier server has left, if there was one: nothing is made before it is needed."""
        self.retrieval.add_keeper(self.kept)
        self.services().events.listen(SEARCHED, self._on_search)
        self.services().events.listen(STOPPING, lambda _: self.ingestor.lay_down())
        if not self.ledger.exists:
            return
        try:
            known = await self.ledger.ask(known_files)
        except LmxError as error:
            self.log.error("vector_stores_unavailable", reason=error.message)
            return
        await asyncio.to_thread(self.blobs.recover, known)
        self.work()

    async def close(self) -> None:
        """Leave the rest to the next start."""
        await self.errands.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
        await self.ingestor.close()
        if self._touches:
            await asyncio.wait(self._touches)
        await self.ledger.close()

    async def kept(self, collection: str, file_ids: Sequence[str]) -> Collection[str] | None:
        """As a Keeper: the files that a store has, and nothing of collections that are no stores."""
        if not collection.startswith(STORE_PREFIX) or not self.ledger.exists:
            return None
        return await self.ledger.ask(kept_files, collection, file_ids, self.now())

    def describe(self) -> Mapping[str, Any]:
        """What is being taken in."""
        return {"ingesting": self.ingestor.running}

    async def _keep(self, source: Path, file: NewFile) -> Row:
        await asyncio.to_thread(self.blobs.take, source, file.id)
        try:
            kept = await self.ledger.ask(add_file, file, self.bounds)
        except Exception:  # not where it is cut off: the database may yet have the file, and the next start looks there
            await asyncio.to_thread(self.blobs.drop, file.id)
            raise
        await asyncio.to_thread(self.blobs.settle, file.id)
        if file.expires_at is not None:
            self.work()
        return kept

    async def _join(
        self, question: Callable[Concatenate[Connection, P], Sequence[int]], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        await self.ingestor.stop(await self.ledger.ask(question, *args, **kwargs))
        self.work()

    async def _forget(
        self, question: Callable[Concatenate[Connection, P], Sequence[int]], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        await self.let_go(await self.ledger.ask(question, *args, **kwargs))

    async def _sweep_again_and_again(self) -> None:
        while True:
            self._expiries.clear()
            wait_s = self.config.sweep_s
            try:
                await self.sweep()
                at = await self.ledger.ask(next_expiry)
                wait_s = wait_s if at is None else min(wait_s, max(0.0, at - self.now()))
            except Exception as error:  # the boundary of a background task: one bad sweep must not be the last
                self.log.error("sweep_failed", reason=str(error), exc_info=error)
            try:
                async with asyncio.timeout(wait_s):
                    await self._expiries.wait()
            except TimeoutError:
                pass

    def _on_search(self, data: Mapping[str, Any]) -> None:
        """A response has searched stores of ours, perhaps: they are in use."""
        if not self.ledger.exists:
            return
        task = asyncio.get_running_loop().create_task(self._touch(list(data.get("collections", ()))))
        self._touches.add(task)
        task.add_done_callback(self._touches.discard)

    async def _touch(self, store_ids: Sequence[str]) -> None:
        try:
            await self.ledger.ask(touch_stores, store_ids, self.now())
        except LmxError as error:
            self.log.warning("vector_stores_not_touched", reason=error.message)


def open_desk(ctx: Context) -> Desk:
    """The desk of a server; nothing is read or written before it starts."""
    config: VectorStoresConfig = ctx.config
    ledger, blobs = Ledger(home()), Blobs(home() / "files")

    def retrieval() -> RetrievalService:
        return ctx.services.retrieval

    removals = Removals(ledger, blobs, lambda: retrieval().store, ctx.log)
    changes = Changes(ledger, lambda: retrieval().store, ctx.log)
    ingestion = Ingestion(
        ledger, blobs, removals, changes, retrieval, ctx.log, config.ingest_attempts, config.retry_after_s
    )
    return Desk(
        config,
        ledger,
        blobs,
        removals,
        changes,
        Ingestor(ledger, ingestion.take_in, config.ingest_concurrency, ctx.log),
        Errands(ctx.log),
        lambda: ctx.services,
        ctx.log,
        time.time,
        lambda prefix: f"{prefix}{secrets.token_hex(12)}",
    )

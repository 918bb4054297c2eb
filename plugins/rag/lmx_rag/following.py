"""Keeps one collection as one folder is: an event only says that it is time to look again, so none can be missed."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from attrs import define, field

from lmx_hookspecs import Context, LmxError
from lmx_hookspecs.errors import InvalidRequest, NotFound, TooLarge
from lmx_hookspecs.ingestion import IngestRequest, SourceDocument
from lmx_rag.observing import Observed, identity_of, observe
from lmx_rag.origin import SOURCE, WATCHED, given
from lmx_rag.tree import Seen, Tree, look

QUIET_S = 0.5
"""So long nothing may change before the folder is looked at: what is being written would be read twice."""
LONGEST_WAIT_S = 5.0
"""Where it never becomes quiet."""
LOOK_EVERY_S = 300.0
"""For what no event tells, such as changes made by other machines."""
POLL_S = 15.0
"""The same, where there are no events at all."""
RETRY_S, LONGEST_RETRY_S = 2.0, 60.0
GIVE_UP_AFTER = 3
"""Failures in a row that are not the files' fault: then it is the store, or the embedder, that is away."""
MAX_FILES = 200_000
PAGE = 1000
SILENT = frozenset({"unsupported_file", "empty_content"})
"""Reasons to leave a file out that are no trouble."""


@define(eq=False)
class Follower:
    """Follows one folder."""

    ctx: Context
    collection: str
    root: Path
    known: dict[str, Seen] = field(factory=dict)
    """Files as they were when they were stored, or found to be none that can be."""
    failed: dict[str, str] = field(factory=dict)
    """Document id to reason."""
    waiting_for: str | None = None
    """Why nothing can be stored at the moment."""
    looks: int = 0
    _changed: asyncio.Event = field(factory=asyncio.Event)
    _observed: Observed | None = None
    _deaf: bool = False
    _compare_at: float = 0.0
    _given: dict[str, Mapping[str, Any]] = field(factory=dict)
    """By document id what was given by hand, as it was when documents and files were compared."""

    async def run(self) -> None:
        """Follow until cancelled."""
        retry_s = RETRY_S
        try:
            while True:
                self._changed.clear()
                if await self._looked():
                    retry_s = RETRY_S
                    await self._rest()
                else:
                    await asyncio.sleep(retry_s)
                    retry_s = min(retry_s * 2, LONGEST_RETRY_S)
        finally:
            await self._stop_listening()

    def describe(self) -> Mapping[str, Any]:
        """What it does now."""
        return {
            "collection": self.collection,
            "folder": str(self.root),
            "files": len(self.known),
            "failed": len(self.failed),
            "looks": self.looks,
            "events": self._observed is not None,
            "waiting_for": self.waiting_for,
        }

    async def _looked(self) -> bool:
        """Whether everything that is there has been dealt with."""
        try:
            await self._look()
        except LmxError as error:
            reason = error.message
        except Exception as error:  # the boundary of a task that must not end: what failed is tried again
            self.ctx.log.error("watch_failed", **self._names(), exc_info=error)
            reason = "an error, which the log has"
        else:
            self.waiting_for = None
            return True
        if reason != self.waiting_for:
            self.ctx.log.warning("watch_waits", **self._names(), reason=reason, advice="it is tried again by itself")
        self.waiting_for = reason
        return False

    async def _look(self) -> None:
        identity = await asyncio.to_thread(identity_of, self.root)
        if identity is None:
            # A disk that is not mounted must not empty the collection.
            raise InvalidRequest(f"{self.root} is no folder that can be read; its documents stay until it is")
        await self._listen(identity)
        tree = await asyncio.to_thread(look, self.root, MAX_FILES)
        stored = await self._compared() if monotonic() >= self._compare_at else set(self.known)
        trouble = await self._store_changed(tree)
        if tree.complete:
            await self._remove(tree, stored)
        self._tell(tree)
        self.looks += 1
        if trouble is not None:
            raise trouble

    async def _store_changed(self, tree: Tree) -> LmxError | None:
        """What kept a file from being stored that may be stored later; raises it where that holds for all of them."""
        trouble, in_a_row = None, 0
        for document_id, seen in tree.files.items():
            if self.known.get(document_id) == seen:
                continue
            try:
                await self._store(document_id, seen)
                in_a_row = 0
            except LmxError as error:
                trouble, in_a_row = error, in_a_row + 1
                if in_a_row >= GIVE_UP_AFTER:
                    raise
        return trouble

    async def _compared(self) -> set[str]:
        """The ids of our documents; what somebody deleted while its file is there will be stored again."""
        stored = await self._stored()
        self.known = {one: seen for one, seen in self.known.items() if one in stored or one in self.failed}
        self._compare_at = monotonic() + LOOK_EVERY_S
        return stored

    async def _stored(self) -> set[str]:
        """The ids of our documents in the collection."""
        found: set[str] = set()
        self._given.clear()
        after, begins = "", f"{self.root.name}/"
        store = self.ctx.services.retrieval.store
        with suppress(NotFound):
            while True:
                page = await store.documents(self.collection, after=after or begins, limit=PAGE)
                ours = [info for info in page.documents if info.id.startswith(begins)]
                kept = [info for info in ours if info.metadata.get(WATCHED) == str(self.root)]
                found.update(info.id for info in kept)
                self._given.update({info.id: said for info in kept if (said := given(info.metadata))})
                if len(ours) < PAGE:
                    break
                after = ours[-1].id
        return found

    async def _store(self, document_id: str, seen: Seen) -> None:
        source = SourceDocument(
            id=document_id,
            path=seen.path,
            name=seen.path.name,
            metadata={**await self._given_to(document_id), SOURCE: document_id, WATCHED: str(self.root)},
        )
        request = IngestRequest(
            collection=self.collection,
            documents=[source],
            skip_unchanged=True,
            request_id=f"watch:{document_id}"[:128],
            priority="low",
        )
        try:
            report = await self.ctx.services.retrieval.ingest(request)
        except (InvalidRequest, TooLarge) as error:
            await self._leave_out(document_id, seen, error)
        else:
            self.known[document_id] = seen
            self.failed.pop(document_id, None)
            if not report.documents[0].unchanged:
                facts = {"document": document_id, "chunks": report.documents[0].chunks}
                self.ctx.log.info("watched_file_stored", collection=self.collection, **facts)

    async def _given_to(self, document_id: str) -> Mapping[str, Any]:
        """What somebody has said of the document stays, whatever becomes of its file."""
        if document_id not in self.known:
            return self._given.get(document_id, {})
        try:  # its file has changed since: so may have what is said of it
            stored = await self.ctx.services.retrieval.store.document(self.collection, document_id)
        except NotFound:
            return {}
        return given(stored.info.metadata)

    async def _leave_out(self, document_id: str, seen: Seen, error: LmxError) -> None:
        if not await asyncio.to_thread(seen.path.exists):
            return  # it went away in between, which the next look finds
        self.known[document_id], self.failed[document_id] = seen, error.message
        if error.code == "empty_content":  # an earlier version may have had some
            await self._delete([document_id])
        if error.code not in SILENT:
            self.ctx.log.warning(
                "watched_file_left_out", collection=self.collection, document=document_id, reason=error.message
            )

    async def _remove(self, tree: Tree, stored: set[str]) -> None:
        gone = [one for one in {*stored, *self.known} if one not in tree.files]
        if not gone:
            return
        await self._delete([one for one in gone if one in stored or one not in self.failed])
        for one in gone:
            self.known.pop(one, None)
            self.failed.pop(one, None)
        self.ctx.log.info("watched_files_removed", collection=self.collection, documents=len(gone))

    async def _delete(self, document_ids: list[str]) -> None:
        with suppress(NotFound):
            for start in range(0, len(document_ids), PAGE):
                await self.ctx.services.retrieval.store.delete(self.collection, document_ids[start : start + PAGE])

    def _tell(self, tree: Tree) -> None:
        if self.looks == 0 and (tree.unnameable or not tree.complete):
            self.ctx.log.warning(
                "watch_incomplete",
                **self._names(),
                unnameable=tree.unnameable,
                files=len(tree.files),
                advice=f"names must be Unicode, folders readable, and no more than {MAX_FILES} files be there",
            )

    async def _rest(self) -> None:
        """Until something changes and it is quiet again, or it is time."""
        try:
            async with asyncio.timeout(LOOK_EVERY_S if self._observed else POLL_S):
                await self._changed.wait()
        except TimeoutError:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_WAIT_S):
                while self._changed.is_set():
                    self._changed.clear()
                    await asyncio.sleep(QUIET_S)

    async def _listen(self, identity: tuple[int, int]) -> None:
        if self._deaf or (self._observed is not None and self._observed.identity == identity):
            return
        await self._stop_listening()
        loop = asyncio.get_running_loop()

        def changed() -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._changed.set)

        try:
            self._observed = await asyncio.to_thread(observe, self.root, identity, changed)
        except (ImportError, OSError) as error:
            self._deaf = True
            advice = f"it is looked at every {POLL_S:.0f} s; `pip install 'opta-lmx[rag]'`, or raise fs.inotify limits"
            self.ctx.log.warning("watch_without_events", **self._names(), reason=str(error), advice=advice)

    async def _stop_listening(self) -> None:
        observed, self._observed = self._observed, None
        if observed is not None:
            await asyncio.to_thread(observed.close)

    def _names(self) -> Mapping[str, str]:
        return {"collection": self.collection, "folder": str(self.root)}

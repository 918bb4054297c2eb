"""Deletes what the database no longer knows: documents, collections, and the bytes of files."""

import asyncio
from collections.abc import Callable

from attrs import define, field

from lmx_hookspecs import LmxError, Logger
from lmx_hookspecs.errors import NotFound
from lmx_hookspecs.retrieval import Retriever
from lmx_vectorstores.blobs import Blobs
from lmx_vectorstores.ledger import Ledger
from lmx_vectorstores.removals_table import Removal, pending_removals, removed


@define(eq=False)
class Removals:
    """One at a time; what cannot be deleted now is tried again later."""

    ledger: Ledger
    blobs: Blobs
    store: Callable[[], Retriever]
    log: Logger
    turn: asyncio.Lock = field(factory=asyncio.Lock)
    """Held while something is removed, or must not be."""

    async def run(self, store_id: str | None = None, file_id: str | None = None) -> None:
        """All that is pending, or what is of one store, or of one file in it."""
        async with self.turn:
            for removal in await self.ledger.ask(pending_removals, store_id, file_id):
                await self._try(removal)

    async def _try(self, removal: Removal) -> None:
        try:
            await self._remove(removal)
        except NotFound:
            pass  # somebody else has deleted it
        except (LmxError, OSError) as error:
            self.log.warning(
                "removal_failed", store=removal.store_id, file=removal.file_id, reason=str(error), next="tried again"
            )
            return
        await self.ledger.ask(removed, removal)

    async def _remove(self, removal: Removal) -> None:
        if not removal.store_id:
            await asyncio.to_thread(self.blobs.drop, removal.file_id)
        elif removal.file_id:
            await self.store().delete(removal.store_id, [removal.file_id])
        else:
            await self.store().drop(removal.store_id)

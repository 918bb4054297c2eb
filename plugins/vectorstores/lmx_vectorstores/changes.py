"""Has the store's metadata follow the attributes in the database."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from attrs import define, field

from lmx_hookspecs import LmxError, Logger
from lmx_hookspecs.errors import NotFound
from lmx_hookspecs.retrieval import Retriever
from lmx_vectorstores.changes_table import Change, changed, pending_change, pending_places
from lmx_vectorstores.ledger import Ledger


@define(eq=False)
class Changes:
    """One at a time; what cannot be changed now is changed later."""

    ledger: Ledger
    store: Callable[[], Retriever]
    log: Logger
    _turn: asyncio.Lock = field(factory=asyncio.Lock)

    async def run(self) -> None:
        """All that is pending."""
        for store_id, file_id in await self.ledger.ask(pending_places):
            await self.attempt(store_id, file_id)

    async def attempt(self, store_id: str, file_id: str) -> None:
        """As `make`, and trouble is logged."""
        try:
            await self.make(store_id, file_id)
        except LmxError as error:
            self.log.warning(
                "attributes_not_changed", store=store_id, file=file_id, reason=error.message, next="tried again"
            )

    async def make(self, store_id: str, file_id: str) -> None:
        """What is pending of a file in a store, if anything; raises what a store raises."""
        async with self._turn:
            change = await self.ledger.ask(pending_change, store_id, file_id)
            if change is None:
                return
            with suppress(NotFound):  # somebody else has deleted the document
                await self._make(change)
            await self.ledger.ask(changed, change)

    async def _make(self, change: Change) -> None:
        """What its reader has found in the file stays."""
        place = change.store_id, change.file_id
        stored = await self.store().document(*place)
        of_reader = {key: value for key, value in stored.info.metadata.items() if key not in change.before}
        await self.store().update_metadata(*place, {**of_reader, **change.after})

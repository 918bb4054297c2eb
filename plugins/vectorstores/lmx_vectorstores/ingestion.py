"""One file into one store: what is asked of the retrieval service, and what becomes of the file."""

import asyncio
from collections.abc import Awaitable, Callable

from attrs import define

from lmx_hookspecs import LmxError, Logger
from lmx_hookspecs.errors import Busy, EngineFailed, InsufficientMemory, InvalidRequest, NotFound, TimedOut, Unavailable
from lmx_hookspecs.ingestion import Chunking, IngestReport, IngestRequest, SourceDocument
from lmx_hookspecs.retrieving import RetrievalService
from lmx_vectorstores.blobs import Blobs
from lmx_vectorstores.changes import Changes
from lmx_vectorstores.ledger import Ledger
from lmx_vectorstores.members_table import COMPLETED, FAILED, Outcome, finish_member
from lmx_vectorstores.paging import Row
from lmx_vectorstores.removals import Removals
from lmx_vectorstores.strays_table import remove_stray

PASSING = (Busy, Unavailable, TimedOut, EngineFailed, InsufficientMemory)
"""What may be over after a while."""
FLOAT_BYTES = 4
BUG = "internal server error; the server's log has the details"


@define(eq=False)
class Ingestion:
    """How often a file is tried, and with what."""

    ledger: Ledger
    blobs: Blobs
    removals: Removals
    changes: Changes
    retrieval: Callable[[], RetrievalService]
    log: Logger
    attempts: int
    retry_after_s: float
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def take_in(self, member: Row) -> None:
        """Have it stored, and write down what became of it."""
        store_id, file_id = member["store_id"], member["file_id"]
        await self.removals.run(store_id, file_id)  # an earlier document of this file must not be deleted after it
        await self.changes.make(store_id, file_id)  # nor be changed
        try:
            await self._take_in(member)
        except asyncio.CancelledError:  # the store may have it all the same
            await self.ledger.ask(remove_stray, store_id, file_id)
            raise

    async def _take_in(self, member: Row) -> None:
        store_id, file_id = member["store_id"], member["file_id"]
        outcome = await self._outcome(member)
        now = await self.ledger.ask(finish_member, member, outcome)
        if now is None:
            await self.ledger.ask(remove_stray, store_id, file_id)
            await self.removals.run(store_id)
        elif outcome.status == COMPLETED and now["attributes"] != member["attributes"]:
            await self.changes.attempt(store_id, file_id)
        self.log.info(
            "file_ingested", store=store_id, file=file_id, status=outcome.status, reason=outcome.error_message
        )

    async def _outcome(self, member: Row) -> Outcome:
        try:
            report = await self._tried(member)
        except NotFound as error:  # of its model: the file is not at fault
            return _failed("server_error", error.message)
        except InvalidRequest as error:
            known = error.code == "unsupported_file"
            return _failed("unsupported_file" if known else "invalid_file", error.message)
        except LmxError as error:
            return _failed("server_error", error.message)
        except Exception as error:  # the boundary of one file: a bug must not leave it in progress for ever
            self.log.error("ingestion_failed", file=member["file_id"], exc_info=error)
            return _failed("server_error", BUG)
        chunks = sum(document.chunks for document in report.documents)
        return Outcome(status=COMPLETED, usage_bytes=member["bytes"] + chunks * report.dimensions * FLOAT_BYTES)

    async def _tried(self, member: Row) -> IngestReport:
        pause_s = self.retry_after_s
        for _ in range(self.attempts - 1):
            try:
                return await self.retrieval().ingest(self._request(member))
            except PASSING as error:
                self.log.warning("ingestion_repeated", file=member["file_id"], reason=error.message, pause_s=pause_s)
                await self.sleep(pause_s)
                pause_s *= 2
        return await self.retrieval().ingest(self._request(member))

    def _request(self, member: Row) -> IngestRequest:
        document = SourceDocument(
            id=member["file_id"],
            path=self.blobs.path(member["file_id"]),
            name=member["filename"],
            media_type=member["media_type"],
            title=member["filename"],
            metadata=member["attributes"],
        )
        return IngestRequest(
            collection=member["store_id"],
            documents=[document],
            chunking=Chunking(size=member["chunk_size"], overlap=member["chunk_overlap"]),
            request_id=f"{member['store_id']}-{member['file_id']}",
            surface="vector_stores",
            priority="low",
            key=member["owner"] or None,
            owner=member["owner"],
        )


def _failed(code: str, message: str) -> Outcome:
    return Outcome(status=FAILED, error_code=code, error_message=message)

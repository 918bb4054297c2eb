"""The retrieval service: joins the store, the document processes, the embedder and the reranker."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from attrs import define, field

from lmx.config.legacy import TO_IMPORT
from lmx.config.rag import Rag
from lmx.models.ledger import Ledger
from lmx.names import AUTO
from lmx.retrieval.citing import candidates_of, context_of
from lmx.retrieval.embedding import Embed
from lmx.retrieval.hosting import STORE_KIND, StorePlace
from lmx.retrieval.ingesting import Ingesting
from lmx.retrieval.legacy import Adopting
from lmx.retrieval.reading import Reading
from lmx.retrieval.residing import Residing
from lmx.retrieval.searching import Rerank, Searching
from lmx.retrieval.tokenizers import Tokenizers
from lmx.workers.documents import Cutting, Prepared
from lmx.workers.part import PartHandle, Stub
from lmx_hookspecs.context import Logger
from lmx_hookspecs.errors import InvalidRequest, LmxError, TimedOut
from lmx_hookspecs.ingestion import IngestReport, IngestRequest, SourceDocument
from lmx_hookspecs.queries import AssembledContext, ContextRequest, Retrieval, RetrieveRequest
from lmx_hookspecs.retrieval import Retriever
from lmx_hookspecs.retrieving import Keeper


@define(eq=False, kw_only=True)
class RetrievalDesk:
    """The RetrievalService."""

    config: Callable[[], Rag]
    """The section `rag`, as it is now."""
    place: Callable[[], StorePlace]
    """Where the store is; raises Unavailable."""
    host: Callable[[StorePlace], PartHandle]
    reading: Reading
    embed: Embed
    rerank: Rerank
    tokenizers: Tokenizers
    chunkers: Callable[[], list[str]]
    ledger: Ledger
    relieve: Callable[[str], Awaitable[None]]
    """Has idle models make room for the store."""
    log: Logger
    _keepers: list[Keeper] = field(factory=list, init=False)
    _part: PartHandle | None = field(default=None, init=False)
    _residing: Residing | None = field(default=None, init=False)
    _opening: asyncio.Task[None] | None = field(default=None, init=False)

    @property
    def store(self) -> Retriever:
        """The store, whose process is started by its first call."""
        return cast("Retriever", Stub(STORE_KIND, self._hosted()))

    def add_keeper(self, keeper: Keeper) -> None:
        """Have it asked after every search with `kept_only`."""
        self._keepers.append(keeper)

    async def ingest(self, request: IngestRequest) -> IngestReport:
        """Read, cut, embed and store: all documents or none."""
        return await self._ingest(request, self.embed)

    async def retrieve(self, request: RetrieveRequest) -> Retrieval:
        """Search, and rerank where that is asked for."""
        return await self._searching().run(request)

    async def assemble(self, request: ContextRequest) -> AssembledContext:
        """Retrieve, and make one text of what was found."""
        if request.max_tokens < 1:
            raise InvalidRequest(f"max_tokens is {request.max_tokens}; it has to be at least 1", param="max_tokens")
        retrieval = await self._searching().run(request.retrieve, of_each=True)
        first = await self.store.collection(request.retrieve.collections[0])
        tokenizer = await self.tokenizers.of(first.embedding_model)
        arguments = {
            "candidates": candidates_of(retrieval.found),
            "max_tokens": request.max_tokens,
            "tokenizer": tokenizer.path,
        }
        limit_s = self.config().read_timeout_sec
        try:
            made = await self.reading.contexts.call("assemble", arguments, limit_s)
        except TimeoutError as error:
            told = f"no context was made within {limit_s:g} s, which rag.read_timeout_sec allows; ask for fewer chunks"
            raise TimedOut(told) from error
        return context_of(made, retrieval, [tokenizer.warning] if tokenizer.warning else [])

    def begin(self) -> None:
        """Open a store that holds something, in the background; another one is opened when it is first used."""
        try:
            place = self.place()
        except LmxError as error:
            self.log.debug("no_store", reason=error.message)
            return
        if place.directory.is_dir():
            self._opening = asyncio.create_task(self._open_now(place), name="open store")

    async def close(self, grace_s: float | None = None) -> None:
        """End the processes; what is pending in the store is committed."""
        if self._opening:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        if self._residing:
            await self._residing.close()
        store = [self._part.stop(grace_s)] if self._part else []
        await asyncio.gather(*store, *(part.stop(grace_s) for part in self.reading.parts))

    def describe(self) -> Mapping[str, Any]:
        """Its processes, and what the store said of itself last."""
        if self._part is None or self._residing is None:
            return {"store": {"state": "stopped"}}
        return {
            "store": {"name": self.place().offer.spec.name, **self._part.describe(), "details": self._residing.facts},
            "reading": self.reading.documents.describe(),
            "short_texts": self.reading.short.describe(),
            "counting": self.reading.contexts.describe(),
        }

    def _hosted(self) -> PartHandle:
        place = self.place()
        if self._part is None:
            self._part = self.host(place)
            self._residing = Residing(place.offer.spec.name, self._part, self.ledger, self.relieve, self.log)
            self._residing.begin()
        return self._part

    async def _ingest(self, request: IngestRequest, embed: Embed) -> IngestReport:
        ingesting = Ingesting(
            rag=self.config(),
            store=self.store,
            prepare=self._prepare,
            embed=embed,
            tokenizers=self.tokenizers,
            chunkers=self.chunkers(),
        )
        return await ingesting.run(request)

    def _searching(self) -> Searching:
        return Searching(
            rag=self.config(), store=self.store, embed=self.embed, rerank=self.rerank, keepers=self._keepers
        )

    async def _prepare(self, source: SourceDocument, cutting: Cutting) -> Prepared:
        return await self.reading.prepare(source, cutting, self.config().read_timeout_sec)

    async def _open_now(self, place: StorePlace) -> None:
        try:
            await self._hosted().start()
        except LmxError as error:
            self.log.error("store_not_opened", reason=error.detail or error.message)
            return
        rag = self.config()
        adopting = Adopting(
            folder=place.directory / TO_IMPORT,
            embed=self.embed,
            ingest=self._ingest,
            model=rag.embedding_model or AUTO,
            most=rag.max_documents_per_ingest,
            log=self.log,
        )
        await adopting.run()

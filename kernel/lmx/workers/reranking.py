"""Makes backends of rerankers: an engine that scores in a thread, some documents at a time."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import psutil
from attrs import define, field

from lmx_hookspecs.capabilities import Capability
from lmx_hookspecs.context import WorkerContext
from lmx_hookspecs.embedding import RankedDocument, Reranking, RerankRequest
from lmx_hookspecs.engines import BackendSpec, EngineDescription
from lmx_hookspecs.errors import EngineFailed, UnsupportedParameter
from lmx_hookspecs.generation import GenerationRequest, Piece
from lmx_hookspecs.models import ModelInfo
from lmx_hookspecs.reranking import BatchingReranker, CountingReranker, DescribedReranker, Reranker, RerankerSpec

ABLE: frozenset[str] = frozenset({Capability.RERANK})
SCORE = 0
"""Below that of every engine: a reranker never takes a model from one that opens its format too."""
BATCH_SIZE = 16
"""Documents in one call of a reranker that does not say how many it wants."""


def backend_of(spec: RerankerSpec) -> BackendSpec:
    """The backend that a reranker becomes."""

    def load(context: WorkerContext, model: ModelInfo) -> RerankEngine:
        return opened(spec, context, model)

    return BackendSpec(
        name=spec.name,
        level="text",
        formats=spec.formats,
        capabilities=ABLE,
        load=load,
        isolation=spec.isolation,
        score=SCORE,
        environment=spec.environment,
        memory_need=spec.memory_need,
        warm_up=False,
    )


def opened(spec: RerankerSpec, context: WorkerContext, model: ModelInfo) -> "RerankEngine":
    """Load it in the thread that will make every call; raises what the load raises."""
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rerank")
    try:
        reranker = thread.submit(spec.load, context, model).result()
    except BaseException:
        thread.shutdown(wait=False)
        raise
    return RerankEngine(reranker, thread, model, alone=spec.isolation == "process")


@define(eq=False)
class RerankEngine:
    """A LoopingEngine with Capability.RERANK and no other; its steps are the calls of the reranker."""

    _reranker: Reranker
    _thread: ThreadPoolExecutor
    _model: ModelInfo
    _alone: bool = True
    """Whether it has its process to itself."""
    _steps: int = field(default=0, init=False)

    async def rerank(self, request: RerankRequest) -> Reranking:
        """Between two calls of the reranker other requests get their turn, and a cancelled one ends."""
        scores: list[float] = []
        tokens: int | None = 0
        for documents in self._parts(request.documents):
            scored, read = await self._in_thread(request.query, documents)
            scores += scored
            tokens = None if tokens is None or read is None else tokens + read
        return Reranking(results=ranked(scores, request.top_n), total_tokens=tokens)

    async def generate(self, request: GenerationRequest) -> AsyncIterator[Piece]:
        """It cannot."""
        raise UnsupportedParameter(f"model {request.model!r} only reranks; ask another one for text", param="model")
        yield  # what makes this a generator, as the protocol wants

    def steps(self) -> int:
        """A long list of documents gives nothing for minutes: while calls return it is not wedged."""
        return self._steps

    async def death(self) -> str:
        """A reranker that is beyond repair takes its process along; nothing else would tell."""
        never: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        return await never

    def describe(self) -> EngineDescription:
        """What it is; in the kernel's process its memory cannot be told from that of the others."""
        told = self._reranker.describe() if isinstance(self._reranker, DescribedReranker) else {}
        process_bytes = psutil.Process().memory_info().rss
        return EngineDescription(
            context_length=self._model.context_length or 0,
            capabilities=ABLE,
            memory_bytes=process_bytes + told.get("device_bytes", 0) if self._alone else 0,
            details=told,
        )

    async def close(self) -> None:
        """Wait for the call that runs, and release the model in the thread that has loaded it."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._reranker.close)
        self._thread.shutdown(wait=False)

    def _parts(self, documents: Sequence[str]) -> Iterator[Sequence[str]]:
        size = self._reranker.batch_size if isinstance(self._reranker, BatchingReranker) else BATCH_SIZE
        for start in range(0, len(documents), size):
            yield documents[start : start + size]

    async def _in_thread(self, query: str, documents: Sequence[str]) -> tuple[list[float], int | None]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._score, query, documents)

    def _score(self, query: str, documents: Sequence[str]) -> tuple[list[float], int | None]:
        scores = checked(self._reranker.rerank(query, documents), len(documents))
        tokens = None
        if isinstance(self._reranker, CountingReranker):
            tokens = self._reranker.count_tokens(query, documents)
        self._steps += 1
        return scores, tokens


def checked(scores: Sequence[float], count: int) -> list[float]:
    """So many finite numbers; raises EngineFailed where a reranker gave anything else."""
    try:
        plain = [float(score) for score in scores]
    except (TypeError, ValueError) as error:
        raise EngineFailed(
            f"the reranker gave scores that are no numbers ({error}); its plugin has to be mended"
        ) from None
    if len(plain) != count:
        raise EngineFailed(f"the reranker gave {len(plain)} scores for {count} documents; mend its plugin")
    odd = next((place for place, score in enumerate(plain) if not math.isfinite(score)), None)
    if odd is not None:
        raise EngineFailed(
            f"the reranker gave a document the score {plain[odd]}, which cannot be compared; a wider data type may help"
        )
    return plain


def ranked(scores: Sequence[float], top_n: int | None) -> list[RankedDocument]:
    """The best first; of equals the one that came first."""
    places = sorted(range(len(scores)), key=lambda place: -scores[place])
    return [RankedDocument(place, scores[place]) for place in places[:top_n]]

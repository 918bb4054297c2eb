"""Calls that are answered all at once, embeddings and rerankings: routed and admitted like generations."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from attrs import define, evolve, frozen

from lmx.accounting import UNKNOWN, Accounting, Record
from lmx.admission import Admission, Call
from lmx.deadline import Deadline
from lmx.models.catalogue import MOST_NAMED, Catalogue
from lmx.models.lifecycle import Lifecycle
from lmx.pipeline import TRY_ELSEWHERE
from lmx.routing import AUTO, Router
from lmx.targets import Targets
from lmx.workers import Deadly, EngineHandle
from lmx_hookspecs import (
    Capability,
    EmbeddingRequest,
    Embeddings,
    Helper,
    HelpingSource,
    LmxError,
    Reranking,
    RerankRequest,
    Usage,
)
from lmx_hookspecs.errors import Busy, EngineFailed, InvalidRequest, ModelNotFound, Unavailable, UnsupportedParameter

HEAVIEST = 16
"""Rows that a call counts for at most: a large batch leaves room for others."""

R = TypeVar("R", EmbeddingRequest, RerankRequest)
A = TypeVar("A", Embeddings, Reranking)


@frozen(kw_only=True)
class Kind(Generic[R, A]):
    """What differs between the kinds of calls."""

    capability: Capability
    gerund: str
    unavailable: str
    """The code where nothing here can do it."""
    advice: str
    """What to do then."""
    rows: Callable[[R], int]
    ask: Callable[[EngineHandle, R], Awaitable[A]]
    tokens: Callable[[A], int | None]


EMBEDDING: Kind[EmbeddingRequest, Embeddings] = Kind(
    capability=Capability.EMBED,
    gerund="embedding",
    unavailable="embedding_unavailable",
    advice="get one that is with `lmx pull`, or name a node for it under helper_nodes or backends",
    rows=lambda request: len(request.inputs),
    ask=lambda engine, request: engine.embed(request),
    tokens=lambda answer: answer.prompt_tokens,
)
RERANKING: Kind[RerankRequest, Reranking] = Kind(
    capability=Capability.RERANK,
    gerund="reranking",
    unavailable="reranking_unavailable",
    advice="pip install 'opta-lmx[rerank]' and name one under plugins.rerank.models, or name a node for it under "
    "helper_nodes.reranking",
    rows=lambda request: len(request.documents),
    ask=lambda engine, request: engine.rerank(request),
    tokens=lambda answer: answer.total_tokens,
)


@define(eq=False)
class Calls:
    """Answers embeddings and rerankings: by the helper for them where there is one, else by the model named."""

    router: Router
    models: Lifecycle
    admission: Admission
    accounting: Accounting
    timeout_s: Callable[[], float]
    """`models.inference_timeout_sec` as it is now."""

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """One vector per input."""
        return await self._accounted(request, EMBEDDING)

    async def rerank(self, request: RerankRequest) -> Reranking:
        """The documents, best first."""
        return await self._accounted(request, RERANKING)

    async def _accounted(self, request: R, kind: Kind[R, A]) -> A:
        deadline = Deadline.of(request.timeout_s, self.timeout_s())
        record = Record(request, UNKNOWN)
        self.accounting.arrived(record)
        try:
            answer = await self._answer(request, kind, record, deadline)
        except BaseException as error:
            cancelled = isinstance(error, asyncio.CancelledError)
            code = "cancelled" if cancelled else getattr(error, "code", "internal_error")
            self.accounting.ended(record, code, getattr(error, "message", None))
            raise
        record.usage = Usage(prompt_tokens=kind.tokens(answer) or 0, completion_tokens=0)
        self.accounting.ended(record, "ok")
        return evolve(answer, model=answer.model or record.model, served_by=record.served_by)

    async def _answer(self, request: R, kind: Kind[R, A], record: Record, deadline: Deadline) -> A:
        helper, failure = helper_for(self.models.catalogue, kind.capability), None
        if helper is not None:
            try:
                return await self._first_able(Targets([helper.model]), request, kind, record, deadline)
            except TRY_ELSEWHERE as error:
                if helper.fallback == "skip":
                    raise _without_helper(kind.gerund, error) from error
                failure = error
        wanted: frozenset[str] = frozenset({kind.capability})
        try:
            targets = Targets([*await self.router.resolve(request.model, wanted)])
            return await self._first_able(targets, request, kind, record, deadline)
        except (ModelNotFound, UnsupportedParameter) as error:
            if error.param != "model":
                raise
            able = await self._able(kind.capability, helper)
            if not able and failure is None:
                await self._tell_of_engines(wanted)
            raise (_others_can(kind, error, able) if able else _nobody_can(kind, failure)) from error

    async def _first_able(
        self, targets: Targets, request: R, kind: Kind[R, A], record: Record, deadline: Deadline
    ) -> A:
        while True:
            record.model = targets.take()
            try:
                return await self._ask(record.model, request, kind, record, deadline)
            except Deadly:
                raise  # another worker would die of it as well
            except TRY_ELSEWHERE as error:
                targets.refusals.append(error)
                if not isinstance(error, InvalidRequest):
                    targets.add(self.router.fallbacks(record.model))
                if not targets:
                    raise targets.verdict() from error

    async def _ask(self, target: str, request: R, kind: Kind[R, A], record: Record, deadline: Deadline) -> A:
        outlook = await self.models.outlook(target)
        _check(target, outlook.capabilities, request, kind)
        call = Call(
            deadline=deadline,
            weight=min(kind.rows(request), HEAVIEST),
            key=request.key,
            client=request.client,
            priority=request.priority,
        )
        async with self.admission.admitted(outlook, call, record) as resident:
            _check(target, resident.capabilities, request, kind)
            record.served_by = resident.served_by
            try:
                async with asyncio.timeout(deadline.left_s()):
                    return await kind.ask(resident.engine, request)
            except TimeoutError as error:
                raise deadline.passed() from error

    async def _tell_of_engines(self, wanted: frozenset[str]) -> None:
        """Raise Unavailable where a model is here that could, if only its engine were."""
        with suppress(ModelNotFound):
            await self.router.resolve(AUTO, wanted)

    async def _able(self, capability: Capability, helper: Helper | None) -> Sequence[str]:
        """The models here that can, apart from the helper, which has been asked."""
        return [
            status.info.id
            for status in await self.models.list()
            if capability in status.capabilities and (helper is None or status.info.id != helper.model)
        ]


def helper_for(catalogue: Catalogue, capability: str) -> Helper | None:
    """The helper of the first source that has one."""
    sources = (source for source in catalogue.sources.values() if isinstance(source, HelpingSource))
    return next((helper for source in sources if (helper := source.helper(capability)) is not None), None)


def _check(
    target: str, capabilities: frozenset[str], request: EmbeddingRequest | RerankRequest, kind: Kind[R, A]
) -> None:
    if kind.capability not in capabilities:
        raise UnsupportedParameter(f"model {target!r} is not made for {kind.gerund}", param="model")
    inputs = request.inputs if isinstance(request, EmbeddingRequest) else ()
    if Capability.TOKEN_PROMPTS not in capabilities and any(not isinstance(one, str) for one in inputs):
        raise UnsupportedParameter(f"model {target!r} takes no token ids; send texts", param="input")


def _without_helper(gerund: str, error: LmxError) -> LmxError:
    """What was wrong with the request stays so, and who is busy says when to come back."""
    if isinstance(error, Busy | InvalidRequest):
        return error
    return EngineFailed(
        f"the helper node for {gerund} cannot answer: {error.message}",
        code="helper_node_unavailable",
        retry_after_s=error.retry_after_s,
        detail=error.detail,
    )


def _others_can(kind: Kind[R, A], error: ModelNotFound | UnsupportedParameter, able: Sequence[str]) -> LmxError:
    """What was wrong with the model named, and which ones there are."""
    more = f" and {len(able) - MOST_NAMED} more" if len(able) > MOST_NAMED else ""
    return type(error)(
        f"{error.message}; made for {kind.gerund} here: {', '.join(able[:MOST_NAMED])}{more}", param="model"
    )


def _nobody_can(kind: Kind[R, A], failure: LmxError | None) -> Unavailable:
    """`failure` is why the helper could not."""
    nobody = f"no model here is made for {kind.gerund}"
    if failure is None:
        return Unavailable(f"{nobody}; {kind.advice}", code=kind.unavailable)
    return Unavailable(
        f"{nobody}, and the helper node cannot answer: {failure.message}",
        code=kind.unavailable,
        retry_after_s=failure.retry_after_s,
        detail=failure.detail,
    )

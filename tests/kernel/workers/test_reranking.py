"""Rerankers as the backends that the kernel makes of them."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from attrs import define, evolve, field

from lmx.workers.inline import InlineEngine
from lmx.workers.reranking import RerankEngine, backend_of, ranked
from lmx_hookspecs import Capability, GenerationRequest, ModelInfo, RankedDocument, RerankerSpec, RerankRequest
from lmx_hookspecs.engines import LoopingEngine
from lmx_hookspecs.errors import EngineFailed, UnsupportedParameter
from lmx_hookspecs.testing import FakeContext, FakeLogger

MODEL = ModelInfo(id="ranker", format="lengths", context_length=64)
WAIT_S = 10.0


@define(eq=False)
class Lengths:
    """The longest document is the best."""

    batch_size: int = 2
    score: Callable[[str], Any] = len
    calls: list[Sequence[str]] = field(factory=list)
    threads: set[str] = field(factory=set)
    closed: int = 0

    def rerank(self, query: str, documents: Sequence[str]) -> Sequence[float]:  # noqa: ARG002  the protocol's signature
        self.threads.add(threading.current_thread().name)
        self.calls.append(documents)
        return [self.score(document) for document in documents]

    def close(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.closed += 1


@define(eq=False)
class Counting(Lengths):
    """Counts words."""

    def count_tokens(self, query: str, documents: Sequence[str]) -> int | None:
        return sum(len(f"{query} {document}".split()) for document in documents)

    def describe(self) -> dict[str, Any]:
        return {"device": "abacus", "device_bytes": 10**12}


def engine_of(reranker: Lengths) -> RerankEngine:
    def load(_: Any, __: Any) -> Lengths:
        reranker.threads.add(threading.current_thread().name)
        return reranker

    spec = RerankerSpec(name="lengths", formats=frozenset({"lengths"}), load=load)
    engine: RerankEngine = backend_of(spec).load(FakeContext(), MODEL)
    return engine


def asked(*documents: str, **fields: Any) -> RerankRequest:
    return RerankRequest(model="ranker", query="which one", documents=documents, **fields)


def test_a_reranker_becomes_a_backend_that_no_engine_loses_a_model_to() -> None:
    spec = RerankerSpec(
        name="lengths",
        formats=frozenset({"lengths"}),
        load=lambda _, __: Lengths(),
        isolation="inline",
        environment=lambda: {"THREADS": "1"},
    )

    backend = backend_of(spec)

    assert (backend.name, backend.level, backend.isolation) == ("lengths", "text", "inline")
    assert backend.formats == frozenset({"lengths"})
    assert backend.capabilities == frozenset({Capability.RERANK})
    assert backend.score == 0
    assert backend.environment() == {"THREADS": "1"}
    assert not backend.warm_up


async def test_documents_are_scored_in_parts_and_come_back_best_first() -> None:
    reranker = Lengths()
    engine = engine_of(reranker)

    answer = await engine.rerank(asked("aa", "a", "aaaa", "aaa", "aaaaa"))

    assert [ranking.index for ranking in answer.results] == [4, 2, 3, 0, 1]
    assert [ranking.score for ranking in answer.results] == [5.0, 4.0, 3.0, 2.0, 1.0]
    assert reranker.calls == [("aa", "a"), ("aaaa", "aaa"), ("aaaaa",)]
    assert answer.total_tokens is None
    await engine.close()


async def test_a_reranker_that_names_no_size_gets_sixteen_at_a_time() -> None:
    class Plain:
        sizes: tuple[int, ...] = ()

        def rerank(self, query: str, documents: Sequence[str]) -> Sequence[float]:  # noqa: ARG002  the protocol's signature
            self.sizes += (len(documents),)
            return [0.0] * len(documents)

        def close(self) -> None:
            """Nothing."""

    plain = Plain()
    spec = RerankerSpec(name="plain", formats=frozenset({"plain"}), load=lambda _, __: plain)
    engine: RerankEngine = backend_of(spec).load(FakeContext(), MODEL)

    await engine.rerank(asked(*["a"] * 33))

    assert plain.sizes == (16, 16, 1)
    await engine.close()


async def test_one_thread_loads_scores_and_closes() -> None:
    reranker = Lengths()
    engine = engine_of(reranker)

    await asyncio.gather(*(engine.rerank(asked("a", "b", "c")) for _ in range(3)))
    await engine.close()

    assert reranker.closed == 1
    assert len(reranker.threads) == 1
    assert threading.current_thread().name not in reranker.threads


@pytest.mark.parametrize(("top_n", "indexes"), [(None, [1, 0, 2]), (2, [1, 0]), (1, [1]), (9, [1, 0, 2])])
def test_no_more_results_than_asked_for_and_equals_keep_their_order(top_n: int | None, indexes: list[int]) -> None:
    assert [one.index for one in ranked([0.5, 2.0, 0.5], top_n)] == indexes


async def test_tokens_are_told_where_the_reranker_counts_them() -> None:
    engine = engine_of(Counting())

    answer = await engine.rerank(asked("one two", "three", "four five six", top_n=1))

    assert answer.results == [RankedDocument(2, 13.0)]
    assert answer.total_tokens == 3 * 2 + 6
    await engine.close()


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (lambda _: float("nan"), "gave a document the score nan"),
        (lambda _: float("inf"), "gave a document the score inf"),
        (lambda _: [1.0, 2.0], "scores that are no numbers"),
    ],
)
async def test_what_cannot_be_compared_fails_the_request_and_not_the_engine(
    score: Callable[[str], Any], message: str
) -> None:
    reranker = Lengths(score=score)
    engine = engine_of(reranker)

    with pytest.raises(EngineFailed, match=message):
        await engine.rerank(asked("a", "b"))

    reranker.score = len
    assert len((await engine.rerank(asked("a", "b"))).results) == 2
    await engine.close()


async def test_a_wrong_number_of_scores_is_no_ranking() -> None:
    class Short(Lengths):
        def rerank(self, query: str, documents: Sequence[str]) -> Sequence[float]:  # noqa: ARG002  the protocol's signature
            return [1.0]

    engine = engine_of(Short())

    with pytest.raises(EngineFailed, match="1 scores for 2 documents"):
        await engine.rerank(asked("a", "b"))
    await engine.close()


async def test_a_cancelled_request_ends_at_once_and_scores_no_further_part() -> None:
    entered, go_on = threading.Event(), threading.Event()

    def score(document: str) -> float:
        entered.set()
        go_on.wait(WAIT_S)
        return float(len(document))

    reranker = Lengths(batch_size=1, score=score)
    engine = engine_of(reranker)
    task = asyncio.create_task(engine.rerank(asked("a", "b", "c")))
    assert await asyncio.to_thread(entered.wait, WAIT_S)

    task.cancel()
    await asyncio.wait([task], timeout=WAIT_S)
    go_on.set()
    after = await engine.rerank(asked("dd"))

    assert task.cancelled()
    assert after.results == [RankedDocument(0, 2.0)]
    assert reranker.calls == [("a",), ("dd",)]
    await engine.close()


async def test_requests_take_turns_between_parts() -> None:
    reranker = Lengths(batch_size=1)
    engine = engine_of(reranker)

    await asyncio.gather(engine.rerank(asked("a", "a", "a")), engine.rerank(asked("b", "b", "b")))

    assert [part[0] for part in reranker.calls[:4]] in (["a", "b", "a", "b"], ["b", "a", "b", "a"])
    await engine.close()


async def test_a_worker_can_see_that_a_long_list_moves() -> None:
    engine = engine_of(Lengths(batch_size=1))

    await engine.rerank(asked("a", "b", "c"))

    assert isinstance(engine, LoopingEngine)
    assert engine.steps() == 3
    await engine.close()


async def test_it_says_what_it_is_and_makes_no_text() -> None:
    engine = engine_of(Counting())

    told = engine.describe()

    assert told.capabilities == frozenset({Capability.RERANK})
    assert told.context_length == 64
    assert told.details["device"] == "abacus"
    assert told.memory_bytes > 10**12
    with pytest.raises(UnsupportedParameter, match="only reranks"):
        await anext(engine.generate(GenerationRequest(model="ranker")))
    await engine.close()


async def test_a_load_that_fails_leaves_no_thread() -> None:
    def load(_: Any, __: Any) -> Lengths:
        raise EngineFailed("no such folder")

    before = threading.active_count()
    spec = RerankerSpec(name="broken", formats=frozenset({"lengths"}), load=load)

    with pytest.raises(EngineFailed, match="no such folder"):
        backend_of(spec).load(FakeContext(), MODEL)

    for thread in threading.enumerate():
        if thread.name.startswith("rerank"):
            thread.join(WAIT_S)
    assert threading.active_count() <= before


async def test_a_reranker_in_the_kernel_answers_and_measures_nothing() -> None:
    spec = RerankerSpec(
        name="lengths", formats=frozenset({"lengths"}), load=lambda _, __: Counting(), isolation="inline"
    )
    engine = InlineEngine(backend_of(spec), "mine", {}, MODEL, FakeLogger(), lambda *_: None, FakeContext())

    description = await engine.start()
    answer = await engine.rerank(evolve(asked("a", "bb"), top_n=1))

    assert description.memory_bytes == 0
    assert answer.results == [RankedDocument(1, 2.0)]
    await engine.stop(5)

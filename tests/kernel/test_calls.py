"""Embeddings and rerankings on their way through the kernel."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from attrs import define, field

from kernel_support import Listed, ScriptedEngine, backend, info, lifecycle, turns
from lmx.calls import HEAVIEST, Calls
from lmx.models.lifecycle import Lifecycle
from lmx.workers import Deadly
from lmx_hookspecs import (
    Capability,
    EmbeddingRequest,
    Embeddings,
    Helper,
    LmxError,
    ModelInfo,
    Outcome,
    RankedDocument,
    Reranking,
    RerankRequest,
)
from lmx_hookspecs.errors import (
    Busy,
    EngineFailed,
    InvalidRequest,
    ModelNotFound,
    TimedOut,
    Unavailable,
    UnsupportedParameter,
)
from pipeline_support import Bench

VECTORS = Embeddings(vectors=[[1.0, 2.0]], prompt_tokens=3)
EMBEDS = backend(capabilities=frozenset({Capability.EMBED, Capability.CHAT}))
ASKED = EmbeddingRequest(model="m", inputs=["hello"])


@define
class Helping(Listed):
    """A source with a helper."""

    infos: Sequence[ModelInfo] = (info("helper/x"),)
    fallback: Any = "local"

    def helper(self, capability: str) -> Helper | None:
        return Helper(model="helper/x", fallback=self.fallback) if capability == Capability.EMBED else None


@define(eq=False)
class Counter:
    """Calls over a bench, and the engines behind it."""

    bench: Bench
    calls: Calls = field(init=False)

    def __attrs_post_init__(self) -> None:
        pipeline = self.bench.pipeline()
        self.calls = Calls(
            pipeline.router, self.bench.models, pipeline.admission, pipeline.accounting, timeout_s=lambda: 5.0
        )


def counter(models: Lifecycle, **facts: Any) -> Counter:
    return Counter(Bench(models, **facts))


def helped(engines: dict[str, ScriptedEngine], *, fallback: str = "local", **facts: Any) -> Counter:
    make: Callable[[ModelInfo], ScriptedEngine] = lambda model: engines[model.id]  # noqa: E731  with its type
    models = lifecycle(make, info("m"), backends=[EMBEDS])
    models.catalogue.sources = {**models.catalogue.sources, "remote": Helping(fallback=fallback)}
    return counter(models, **facts)


async def test_a_call_that_two_workers_died_of_goes_to_no_other_model() -> None:
    engines = {"a": ScriptedEngine(answer=Deadly("died twice")), "b": ScriptedEngine(answer=VECTORS)}
    made = counter(lifecycle(lambda model: engines[model.id], info("a"), info("b"), backends=[EMBEDS]))
    made.calls.models.catalogue.settings = {"a": {"fallback": ["b"]}}

    with pytest.raises(EngineFailed, match="died twice"):
        await made.calls.embed(EmbeddingRequest(model="a", inputs=["hello"]))

    assert engines["b"].calls == []


async def test_a_name_that_the_client_made_up_is_neither_a_label_nor_an_event() -> None:
    made = counter(lifecycle(ScriptedEngine(answer=VECTORS), backends=[EMBEDS]))
    told: list[Mapping[str, Any]] = []
    made.calls.accounting.events.listen("request_completed", told.append)

    for number in range(3):
        with pytest.raises(ModelNotFound):
            await made.calls.embed(EmbeddingRequest(model=f"junk-{number}", inputs=["hello"]))

    assert b"junk" not in made.bench.metrics.render()
    assert made.bench.metrics.samples("lmx_model_errors_total")[0].labels == {"model": "unknown"}
    assert [facts["model"] for facts in told] == ["unknown"] * 3


async def test_an_answer_is_admitted_guarded_and_accounted_for() -> None:
    made = counter(lifecycle(ScriptedEngine(answer=VECTORS), backends=[EMBEDS]))

    answer = await made.calls.embed(EmbeddingRequest(model="m", inputs=["a"] * 3, client="bot", key="k"))

    assert (answer.vectors, answer.model, answer.served_by) == (VECTORS.vectors, "m", "scripted/m")
    (ticket,) = made.bench.door.tickets
    assert (ticket.weight, ticket.client, ticket.key) == (3, "bot", "k")
    assert made.bench.door.inside == 0
    assert made.bench.witness.told == [("m", Outcome.OK)]
    line = made.bench.line()
    assert (line["surface"], line["outcome"], line["prompt_tokens"]) == ("embeddings", "ok", 3)
    assert made.bench.metric("lmx_prompt_tokens_total") == 3


async def test_a_large_batch_leaves_room_for_others() -> None:
    made = counter(lifecycle(ScriptedEngine(answer=VECTORS), backends=[EMBEDS]))

    await made.calls.embed(EmbeddingRequest(model="m", inputs=["a"] * 500))

    assert made.bench.door.tickets[0].weight == HEAVIEST


async def test_a_reranking_goes_the_same_way() -> None:
    ranked = Reranking(results=[RankedDocument(0, 1.0)], total_tokens=None, model="shown")
    made = counter(lifecycle(ScriptedEngine(answer=ranked)))

    answer = await made.calls.rerank(RerankRequest(model="m", query="q", documents=["a"]))

    assert (answer.results, answer.model) == (ranked.results, "shown")
    assert made.bench.line()["surface"] == "rerank"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (EngineFailed("died"), Outcome.FAULT),
        (InvalidRequest("odd"), Outcome.CLIENT_ERROR),
        (RuntimeError("bug"), Outcome.FAULT),
    ],
)
async def test_guards_are_told_what_went_wrong(error: Exception, outcome: Outcome) -> None:
    made = counter(lifecycle(ScriptedEngine(answer=error), backends=[EMBEDS]))

    with pytest.raises(type(error)):
        await made.calls.embed(ASKED)

    assert made.bench.witness.told == [("m", outcome)]
    assert made.bench.door.inside == 0
    assert made.bench.metric("lmx_errors_total") == 1


async def test_a_call_that_is_cancelled_frees_its_place() -> None:
    engine = ScriptedEngine(answer=VECTORS, may_speak=asyncio.Event())
    made = counter(lifecycle(engine, backends=[EMBEDS]))
    call = asyncio.create_task(made.calls.embed(ASKED))
    while not engine.calls:
        await turns(1)

    call.cancel()
    await asyncio.wait([call])

    assert made.bench.door.inside == 0
    assert made.bench.witness.told == [("m", Outcome.CANCELLED)]
    assert made.bench.line()["outcome"] == "cancelled"


async def test_a_call_ends_with_its_time() -> None:
    made = counter(lifecycle(ScriptedEngine(answer=VECTORS, may_speak=asyncio.Event()), backends=[EMBEDS]))

    with pytest.raises(TimedOut):
        await made.calls.embed(EmbeddingRequest(model="m", inputs=["a"], timeout_s=0.05))

    assert made.bench.door.inside == 0


async def test_the_helper_answers_whatever_model_was_named() -> None:
    engines = {"helper/x": ScriptedEngine(answer=VECTORS), "m": ScriptedEngine()}
    made = helped(engines)

    answers = [await made.calls.embed(EmbeddingRequest(model=name, inputs=["a"])) for name in ("m", "nobody")]

    assert {answer.model for answer in answers} == {"helper/x"}
    assert engines["m"].calls == []


async def test_the_model_that_was_named_answers_where_the_helper_cannot() -> None:
    made = helped({"helper/x": ScriptedEngine(answer=EngineFailed("down")), "m": ScriptedEngine(answer=VECTORS)})

    answer = await made.calls.embed(ASKED)

    assert answer.model == "m"
    assert made.bench.witness.told == [("helper/x", Outcome.FAULT), ("m", Outcome.OK)]
    assert made.bench.metric("lmx_requests_total") == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineFailed("down"), "helper_node_unavailable"),
        (Unavailable("no", retry_after_s=9), "helper_node_unavailable"),
        (Busy("later", retry_after_s=9), "rate_limit_exceeded"),
        (InvalidRequest("odd"), "invalid_value"),
        (UnsupportedParameter("no", param="dimensions"), "unsupported_parameter"),
    ],
)
async def test_with_skip_nobody_answers_for_the_helper(error: LmxError, code: str) -> None:
    engines = {"helper/x": ScriptedEngine(answer=error), "m": ScriptedEngine(answer=VECTORS)}
    made = helped(engines, fallback="skip")

    with pytest.raises(LmxError) as caught:
        await made.calls.embed(ASKED)

    assert caught.value.code == code
    assert caught.value.retry_after_s == error.retry_after_s
    assert engines["m"].calls == []


async def test_without_anybody_who_embeds_the_capability_is_unavailable() -> None:
    chats = backend(capabilities=frozenset({Capability.CHAT}))
    made = counter(lifecycle(ScriptedEngine(), backends=[chats]))

    for name in ("m", "nobody"):
        with pytest.raises(Unavailable, match="no model here is made for embedding; get one that is") as caught:
            await made.calls.embed(EmbeddingRequest(model=name, inputs=["a"]))
        assert caught.value.code == "embedding_unavailable"


async def test_why_the_helper_could_not_is_told_where_nobody_else_can() -> None:
    made = helped({"helper/x": ScriptedEngine(answer=EngineFailed("it is down"))})
    made.bench.models.catalogue.sources = {"remote": Helping()}

    with pytest.raises(Unavailable, match="and the helper node cannot answer: it is down") as caught:
        await made.calls.embed(ASKED)

    assert caught.value.code == "embedding_unavailable"


async def test_a_model_that_does_not_embed_is_refused_where_others_do() -> None:
    models = lifecycle(
        ScriptedEngine(answer=VECTORS), info("m"), info("talks", capabilities=frozenset({"chat"})), backends=[EMBEDS]
    )
    made = counter(models)

    with pytest.raises(
        UnsupportedParameter, match=r"'talks' is not made for embedding; .* for embedding here: m"
    ) as caught:
        await made.calls.embed(EmbeddingRequest(model="talks", inputs=["a"]))
    with pytest.raises(ModelNotFound, match=r"'nobody'.*; made for embedding here: m"):
        await made.calls.embed(EmbeddingRequest(model="nobody", inputs=["a"]))

    assert caught.value.param == "model"


async def test_token_ids_are_refused_by_a_model_that_takes_texts() -> None:
    made = counter(lifecycle(ScriptedEngine(answer=VECTORS), backends=[EMBEDS]))

    with pytest.raises(UnsupportedParameter, match="takes no token ids"):
        await made.calls.embed(EmbeddingRequest(model="m", inputs=[[1, 2]]))


async def test_auto_is_a_model_that_embeds_and_not_the_default_for_chats() -> None:
    models = lifecycle(
        ScriptedEngine(answer=VECTORS),
        info("a-talker", builtin=True, capabilities=frozenset({"chat"})),
        info("m"),
        backends=[EMBEDS],
    )
    made = counter(models)

    answer = await made.calls.embed(EmbeddingRequest(model="auto", inputs=["a"]))

    assert answer.model == "m"

"""Embeddings and rerankings through a real worker: what travels, what is refused, and what a death costs."""

import asyncio
import os
import signal
from math import fsum, sqrt
from typing import Any

import pytest
from attrs import evolve

from lmx.workers import EngineState
from lmx_echo.vectors import DIMENSIONS
from lmx_hookspecs import EmbeddingRequest, Embeddings, RerankRequest
from lmx_hookspecs.errors import (
    ContextLengthExceeded,
    EngineFailed,
    InvalidRequest,
    LmxError,
    TimedOut,
    Unavailable,
    UnsupportedParameter,
)
from worker_support import WAIT_S, Started, chat, not_started, pieces_of, running, text_of, until

PANGRAM = "the quick brown fox jumps over the lazy dog"
BOTH = pytest.mark.parametrize("name", ["echo-tokens", "echo-process"])


def asked(*inputs: Any, **fields: Any) -> EmbeddingRequest:
    return EmbeddingRequest(model="m", inputs=inputs, **fields)


async def embedded(started: Started, request: EmbeddingRequest) -> Embeddings:
    async with asyncio.timeout(WAIT_S):
        return await started.engine.embed(request)


async def in_worker(started: Started) -> None:
    """Wait until the worker has the request, and has begun with it."""
    await until(lambda: started.engine.describe()["running"] == 1)
    await started.engine.stats()


@BOTH
async def test_every_input_has_its_vector_in_the_order_of_the_inputs(name: str) -> None:
    texts = ["a long text of many words " * 9, "short", "a text in between", "short"]

    async with running(name) as started:
        together = await embedded(started, asked(*texts))
        alone = [(await embedded(started, asked(text))).vectors[0] for text in texts]

    assert [list(vector) for vector in together.vectors] == [list(vector) for vector in alone]
    assert list(together.vectors[1]) == list(together.vectors[3]) != list(together.vectors[2])
    assert {len(vector) for vector in together.vectors} == {DIMENSIONS}


async def test_tokens_are_counted_by_the_tokenizer_and_ids_count_as_they_are() -> None:
    async with running("echo-tokens") as started:
        answer = await embedded(started, asked("é", list(b"abc")))
        as_text = await embedded(started, asked("abc"))

    assert answer.prompt_tokens == 2 + 3
    assert list(answer.vectors[1]) == list(as_text.vectors[0])


@BOTH
async def test_a_batch_of_more_inputs_than_a_frame_holds_comes_whole(name: str) -> None:
    inputs = [f"{'w ' * (place % 7)}{place}" for place in range(300)]

    async with running(name) as started:
        answer = await embedded(started, asked(*inputs))
        last = await embedded(started, asked(inputs[-1]))

    assert len(answer.vectors) == len(inputs)
    assert list(answer.vectors[-1]) == list(last.vectors[0])


@BOTH
async def test_shorter_vectors_have_length_one_again(name: str) -> None:
    async with running(name) as started:
        whole = (await embedded(started, asked(PANGRAM))).vectors[0]
        short = (await embedded(started, asked(PANGRAM, dimensions=16))).vectors[0]

    norm = sqrt(fsum(value * value for value in whole[:16]))
    assert list(short) == pytest.approx([value / norm for value in whole[:16]], abs=1e-6)


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        (asked("fine", ""), InvalidRequest, r"input\[1\] has no tokens"),
        (asked(""), InvalidRequest, "input has no tokens"),
        (asked([256, 999]), InvalidRequest, "token id 999 does not exist"),
        (asked([-1]), InvalidRequest, "token id -1 does not exist"),
        (asked("x" * 51), ContextLengthExceeded, "input has 51 tokens and the context 50"),
        (asked("x", dimensions=DIMENSIONS + 1), InvalidRequest, "ask for fewer"),
    ],
)
async def test_an_input_that_cannot_be_embedded_is_refused_by_name(
    request_: EmbeddingRequest, error: type[LmxError], words: str
) -> None:
    async with running("echo-tokens", context_length=50) as started:
        with pytest.raises(error, match=words) as caught:
            await embedded(started, request_)
        whole_context = await embedded(started, asked("x" * 50))

    assert caught.value.param == ("dimensions" if request_.dimensions else "input")
    assert whole_context.prompt_tokens == 50


@pytest.mark.parametrize(("name", "words"), [("echo-tokens", "told to fail"), ("echo-process", "told to fail")])
async def test_an_engine_that_gives_up_fails_that_request_alone(name: str, words: str) -> None:
    async with running(name, fail_after=0) as started:
        with pytest.raises(EngineFailed, match=words):
            await embedded(started, asked("x"))

        assert started.engine.state is EngineState.READY
        assert started.engine.describe()["deaths"] == 0


@BOTH
async def test_a_worker_killed_in_the_middle_is_replaced_and_the_embedding_made_again(name: str) -> None:
    async with running(name, delay_ms=300) as started:
        answer = asyncio.create_task(embedded(started, asked("one two three")))
        await until(lambda: started.engine.describe()["running"] == 1)

        os.kill(started.pid, signal.SIGKILL)

        assert len((await answer).vectors) == 1
        assert started.engine.describe()["deaths"] == 1


@BOTH
async def test_an_embedding_that_kills_two_workers_fails(name: str) -> None:
    async with running(name, crash_after=0) as started:
        with pytest.raises(EngineFailed, match="the engine died on this request"):
            await embedded(started, asked("x"))

        assert started.engine.describe()["deaths"] == 2


async def test_running_streams_go_on_while_a_large_batch_is_embedded() -> None:
    inputs = ["some words that make a little work " * 40] * 2000

    async with running("echo-tokens", tokens_per_second=200) as started:
        batch = asyncio.create_task(embedded(started, asked(*inputs)))
        await in_worker(started)

        answer = await text_of(started, chat("one two three"))
        batch_was_running = not batch.done()
        vectors = (await batch).vectors

    assert answer == "one two three"
    assert batch_was_running
    assert len(vectors) == len(inputs)


async def test_a_small_embedding_does_not_wait_for_the_end_of_a_large_one() -> None:
    async with running("echo-tokens") as started:
        large = asyncio.create_task(embedded(started, asked(*["many words " * 200] * 500)))
        await in_worker(started)

        await embedded(started, asked("small"))

        assert not large.done()
        large.cancel()
        await asyncio.wait([large])


@BOTH
async def test_a_cancelled_embedding_leaves_nothing_behind(name: str) -> None:
    inputs = ["w"] * 640  # ten batches

    async with running(name, delay_ms=200) as started:
        answer = asyncio.create_task(embedded(started, asked(*inputs)))
        await until(lambda: started.engine.describe()["running"] == 1)
        answer.cancel()
        await asyncio.wait([answer])

        await until(lambda: started.engine.describe()["pending"] == 0)
        assert started.engine.describe()["running"] == 0
        assert started.engine.describe()["deaths"] == 0


async def test_one_cancelled_while_it_waits_for_a_worker_is_never_sent() -> None:
    async with running("echo-tokens", delay_ms=200) as started:
        first = asyncio.create_task(embedded(started, asked("first")))
        await until(lambda: started.engine.describe()["running"] == 1)
        os.kill(started.pid, signal.SIGKILL)
        await started.reach(EngineState.RESTARTING)

        second = asyncio.create_task(embedded(started, asked("second")))
        await until(lambda: started.engine.describe()["waiting"] == 2)
        second.cancel()
        await asyncio.wait([second])

        assert started.engine.describe()["waiting"] == 1
        await first


async def test_a_worker_that_does_not_come_back_in_time_is_not_waited_for() -> None:
    async with running("echo-tokens", hang_after=0) as started:
        os.kill(started.pid, signal.SIGKILL)
        await started.reach(EngineState.RESTARTING)

        with pytest.raises(TimedOut, match="not back in time"):
            await embedded(started, evolve(asked("x"), timeout_s=0.001))


async def test_an_engine_that_is_not_started_embeds_nothing() -> None:
    with pytest.raises(Unavailable):
        await not_started("echo-tokens").engine.embed(asked("x"))


async def test_documents_come_back_in_the_order_of_their_relevance() -> None:
    documents = ["a recipe for soup", "the capital of France", "the capital of France is Paris"]
    wanted = RerankRequest(model="m", query="capital of France", documents=documents, top_n=2)

    async with running("echo-process") as started:
        answer = await started.engine.rerank(wanted)

    assert [ranked.index for ranked in answer.results] == [1, 2]
    assert answer.results[0].score > answer.results[1].score
    assert answer.total_tokens == 3 + 4 + 4 + 6


async def test_a_token_level_engine_reranks_nothing() -> None:
    async with running("echo-tokens") as started:
        with pytest.raises(UnsupportedParameter, match="cannot rerank"):
            await started.engine.rerank(RerankRequest(model="m", query="q", documents=["d"]))

        assert await pieces_of(started, chat("still here"))

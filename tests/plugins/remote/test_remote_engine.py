"""The engine against a node on a real socket."""

import asyncio
import threading
from contextlib import aclosing
from typing import Any

import pytest

from kernel_support import until
from lmx_hookspecs import EmbeddingRequest, GenerationRequest, LmxError, RerankRequest
from lmx_hookspecs.errors import (
    Busy,
    ContextLengthExceeded,
    EngineFailed,
    InvalidRequest,
    ModelNotFound,
    TooLarge,
    Unavailable,
    UnsupportedParameter,
)
from remote_support import (
    HELLO,
    SILENCE,
    Reply,
    Stream,
    always,
    chat,
    collected,
    engine_at,
    fake_node,
    finish,
    text,
    usage,
)


async def test_an_answer_comes_piece_by_piece_with_the_counts_of_the_node() -> None:
    async with fake_node(always(HELLO)) as node, engine_at(node.url) as engine:
        pieces = await collected(engine, chat(request_id="req-1", priority="high"))

    assert [piece.text for piece in pieces] == ["Hello", " world", "", ""]
    assert [piece.finish_reason for piece in pieces] == [None, None, "stop", None]
    assert pieces[-1].usage is not None
    assert (pieces[-1].usage.prompt_tokens, pieces[-1].usage.completion_tokens) == (3, 2)
    ((path, body, headers),) = node.asked
    assert (path, body["model"], body["stream_options"]) == ("/v1/chat/completions", "m", {"include_usage": True})
    assert (headers["x-request-id"], headers["x-priority"]) == ("req-1", "high")


async def test_connections_are_used_again() -> None:
    async with fake_node(always(HELLO)) as node, engine_at(node.url) as engine:
        (endpoint,) = engine.nodes.endpoints("m")
        for _ in range(3):
            await collected(engine, chat())
            await until(lambda: not endpoint.node.link._parting)

        assert (len(node.asked), node.connections) == (3, 1)


async def test_an_answer_is_complete_although_the_node_closes_the_connection_behind_it() -> None:
    closed = Stream(HELLO.events, ending="closed")
    async with fake_node(always(closed)) as node, engine_at(node.url) as engine:
        answers = [await collected(engine, chat(stream=stream)) for stream in (True, False)]

        (endpoint,) = engine.nodes.endpoints("m")
        assert endpoint.node.stats.failures == 0

    assert all(answer[-1].usage is not None for answer in answers)


async def test_the_last_piece_does_not_wait_for_the_end_of_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmx_remote.link.DRAIN_S", 60.0)
    lingers = Stream(HELLO.events, ending="lingers")
    async with fake_node(always(lingers)) as node:
        async with asyncio.timeout(30), engine_at(node.url) as engine:
            pieces = await collected(engine, chat(stream=True))
            was_left = node.left.is_set()
        await asyncio.wait_for(node.left.wait(), 10)

    assert pieces[-1].usage is not None
    assert not was_left


async def test_the_key_is_sent_as_a_bearer_token() -> None:
    async with fake_node(always(HELLO)) as node, engine_at(f"{node.url}/v1/", api_key="hush") as engine:
        await collected(engine, chat())

    assert node.asked[0][0] == "/v1/chat/completions"
    assert node.asked[0][2]["authorization"] == "Bearer hush"


async def test_closing_the_iterator_reaches_the_node() -> None:
    async with fake_node(always(Stream([text("one")], ending="hang"))) as node, engine_at(node.url) as engine:
        async with aclosing(engine.generate(chat(stream=True))) as pieces:  # type: ignore[type-var]
            await anext(pieces)
        await asyncio.wait_for(node.left.wait(), 10)

        (endpoint,) = engine.nodes.endpoints("m")
        assert endpoint.node.outstanding == 0
        assert endpoint.node.stats.describe()["success_rate_pct"] == 100.0


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (SILENCE, "node 'n0' has gone silent, and was given up"),
        (Stream([text("one")], ending="hang"), "node 'n0' has gone silent, and was given up"),
        (Stream([text("one")], ending="reset"), "node 'n0' broke the connection off; send the request again"),
        (Stream([text("one")], ending="cut"), "node 'n0' ended its answer before it was complete"),
        (Stream([text("one")]), "node 'n0' ended its answer before it was complete"),
        (Stream(["{"]), "node 'n0' sent something that is no JSON"),
        (Stream(["[" * 200_000]), "node 'n0' sent something that is no JSON"),
        (Stream([finish(), usage(prompt=-1)]), "node 'n0' counts its tokens in a way that is not OpenAI's"),
        (Reply(b"[" * 200_000, 500), "node 'n0' answered 500"),
        (Stream(["[]"]), "node 'n0' sent something that is no JSON object"),
        (Stream([{"choices": [7]}]), "node 'n0' sent a chunk that is not OpenAI's"),
        (Stream([text("one", index=1)]), "node 'n0' sent a chunk that is not OpenAI's"),
        (Stream([text("one"), {"error": {"message": "boom"}}]), "node 'n0' gave the request up in the middle"),
        (Reply({"error": {"message": "boom"}}, 500), "node 'n0' answered 500"),
        (Reply({}, 307, {"location": "http://elsewhere"}), "node 'n0' answered 307"),
        (Reply({"error": "no"}, 401), "node 'n0' does not let us in; check its api_key"),
        (Reply({"detail": "Not Found"}, 404), "node 'n0' does not know this model, or this kind of request"),
    ],
)
async def test_what_is_wrong_with_a_node_is_a_failure_of_the_engine(answer: Any, message: str) -> None:
    async with fake_node(always(answer)) as node, engine_at(node.url, timeout_s=0.2) as engine:
        with pytest.raises(EngineFailed) as caught:
            await asyncio.wait_for(collected(engine, chat()), 10)

        (endpoint,) = engine.nodes.endpoints("m")
        assert caught.value.message.startswith(message)
        assert caught.value.code == "node_failed"
        nobody_answered = any(words in message for words in ("silent", "broke the connection"))
        assert endpoint.node.healthy is (False if nobody_answered else None)
        assert endpoint.node.failing == (set() if nobody_answered else {"m"})
        assert endpoint.node.stats.failures == 1


async def test_a_node_that_is_not_there_is_a_failure() -> None:
    async with engine_at("http://127.0.0.1:9") as engine:
        with pytest.raises(EngineFailed, match="cannot be reached; is it running"):
            await collected(engine, chat())


@pytest.mark.parametrize(
    ("answer", "cls", "param"),
    [
        (Reply({"error": {"message": "bad", "param": "messages"}}, 400), InvalidRequest, "messages"),
        (
            Reply({"error": {"message": "no", "param": "n", "code": "unsupported_parameter"}}, 400),
            UnsupportedParameter,
            "n",
        ),
        (Reply({"error": {"message": "long", "code": "context_length_exceeded"}}, 400), ContextLengthExceeded, None),
        (Reply({"detail": [{"msg": "odd"}]}, 422), InvalidRequest, None),
        (Reply(b"<html>", 413), TooLarge, None),
    ],
)
async def test_what_is_wrong_with_a_request_is_told_to_the_client(answer: Reply, cls: type, param: str | None) -> None:
    async with fake_node(always(answer)) as node, engine_at(node.url) as engine:
        with pytest.raises(LmxError) as caught:
            await collected(engine, chat())

        (endpoint,) = engine.nodes.endpoints("m")
        assert (type(caught.value), caught.value.param) == (cls, param)
        assert (endpoint.node.stats.failures, endpoint.node.healthy) == (0, None)


@pytest.mark.parametrize(("status", "cls"), [(429, Busy), (503, Unavailable)])
async def test_a_busy_node_says_when_to_come_back(status: int, cls: type) -> None:
    async with fake_node(always(Reply({}, status, {"Retry-After": "7"}))) as node, engine_at(node.url) as engine:
        with pytest.raises(LmxError) as caught:
            await collected(engine, chat())

        assert type(caught.value) is cls
        assert caught.value.retry_after_s == 7


async def test_a_node_that_wants_to_be_left_alone_for_ever_is_believed_for_an_hour() -> None:
    answer = Reply({}, 503, {"Retry-After": "9" * 400})
    async with fake_node(always(answer)) as node, engine_at(node.url) as engine:
        with pytest.raises(Unavailable) as caught:
            await collected(engine, chat())

    assert caught.value.retry_after_s == 3600


async def test_several_prompts_are_several_choices() -> None:
    events = [{"choices": [{"index": index, "text": "x", "finish_reason": "length"}]} for index in (1, 0)]
    asked = GenerationRequest(model="m", prompts=["a", "b"])
    async with fake_node(always(Stream(events))) as node, engine_at(node.url) as engine:
        pieces = await collected(engine, asked)

    assert [(piece.index, piece.text, piece.finish_reason) for piece in pieces[:-1]] == [
        (1, "x", "length"),
        (0, "x", "length"),
    ]
    assert node.bodies("/v1/completions")[0]["prompt"] == ["a", "b"]


async def test_an_answer_that_is_not_streamed_is_read_all_the_same() -> None:
    whole = {"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}], "usage": None}
    async with fake_node(always(Reply(whole))) as node, engine_at(node.url) as engine:
        pieces = await collected(engine, chat())

    assert pieces[0].text == "hi"
    assert pieces[-1].usage is not None
    assert not pieces[-1].usage.counted


async def test_vectors_come_as_base64_or_as_numbers_if_that_is_refused() -> None:
    def script(_path: str, body: Any) -> Reply:
        if body["encoding_format"] == "base64":
            return Reply({"error": {"message": "encoding_format must be float"}}, 400)
        return Reply({"data": [{"index": 0, "embedding": [0.5, 1]}], "usage": {"prompt_tokens": 4}})

    async with fake_node(script) as node, engine_at(node.url) as engine:
        first = await engine.embed(EmbeddingRequest(model="m", inputs=["a"]))
        second = await engine.embed(EmbeddingRequest(model="m", inputs=["b"]))

    assert [list(vector) for vector in first.vectors] == [[0.5, 1.0]]
    assert (first.prompt_tokens, second.prompt_tokens) == (4, 4)
    assert [body["encoding_format"] for body in node.bodies("/v1/embeddings")] == ["base64", "float", "float"]


async def test_a_large_answer_is_read_in_a_thread_which_lets_the_loop_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    readers: list[threading.Thread] = []

    def spy(value: Any) -> Any:
        readers.append(threading.current_thread())
        return value

    monkeypatch.setattr("lmx_remote.link._as_it_is", spy)
    answer = Reply({"data": [{"index": place, "embedding": [0.25] * 4096} for place in range(20)]})
    async with fake_node(always(answer)) as node, engine_at(node.url) as engine:
        embeddings = await engine.embed(EmbeddingRequest(model="m", inputs=["a"] * 20))

    assert len(embeddings.vectors) == 20
    assert len(readers) == 21  # once per object: that often the parser gives way
    assert threading.main_thread() not in readers


async def test_a_call_that_takes_too_long_altogether_is_given_up() -> None:
    async with fake_node(always(SILENCE)) as node, engine_at(node.url, timeout_s=0.2) as engine:
        with pytest.raises(EngineFailed, match=r"did not answer within|has gone silent"):
            await engine.rerank(RerankRequest(model="m", query="q", documents=["a"]))
        await asyncio.wait_for(node.left.wait(), 10)


async def test_a_reranking_is_asked_of_another_node_if_the_first_is_broken() -> None:
    answer = Reply({"results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]})
    broken = always(Reply({"results": [{"index": 5, "relevance_score": 1}]}))
    asked = RerankRequest(model="m", query="q", documents=["a", "b"], top_n=1)
    async with (
        fake_node(broken) as first,
        fake_node(always(answer)) as second,
        engine_at(first.url, second.url) as engine,
    ):
        ranked = await engine.rerank(asked)

    assert [(one.index, one.score) for one in ranked.results] == [(1, 0.9)]
    assert ranked.total_tokens is None
    assert second.bodies("/v1/rerank") == [{"model": "m", "query": "q", "documents": ["a", "b"], "top_n": 1}]


async def test_a_model_that_its_node_forgets_is_not_found_but_still_described() -> None:
    async with fake_node(always(HELLO)) as node, engine_at(node.url) as engine:
        (endpoint,) = engine.nodes.endpoints("m")
        endpoint.node.models = {}

        with pytest.raises(ModelNotFound):
            await collected(engine, chat())
        assert engine.describe().max_rows == 64

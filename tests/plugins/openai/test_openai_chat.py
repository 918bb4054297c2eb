from typing import Any

from httpx_sse import aconnect_sse
from openai import AsyncOpenAI

from http_support import USAGE, FakeServices, data_of, said, serving
from lmx.structure import structure
from lmx_hookspecs import Piece, TokenLogprob, ToolCallDelta
from lmx_openai import lmx_surfaces
from lmx_openai.answers import ChatCompletion

CHAT = "/v1/chat/completions"
USER = [{"role": "user", "content": "hi"}]
LOGPROBS = (
    TokenLogprob("He", b"He", -0.5, (TokenLogprob("He", b"He", -0.5), TokenLogprob("Hi", b"Hi", float("-inf")))),
    TokenLogprob("llo", b"llo", -0.25),
)
CALL = (
    ToolCallDelta(index=0, id="call_1", name="add", arguments='{"a":'),
    ToolCallDelta(index=0, arguments="1}"),
)


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "real-model", "messages": USER, **fields}


async def ask(services: FakeServices, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    async with serving(surfaces=lmx_surfaces(), services=services) as server:
        return await server.ask("POST", CHAT, json=chat(**fields), headers=headers)


async def test_a_chat_is_answered_to_the_openai_client() -> None:
    async with (
        serving(surfaces=lmx_surfaces()) as server,
        AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client,
    ):
        answer = await client.chat.completions.create(**chat(model="auto"))

    assert answer.id.startswith("chatcmpl-")
    assert answer.model == "real-model"
    assert answer.choices[0].message.content == "Hello world"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (5, 2, 7)
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 1


async def test_a_streamed_chat_arrives_at_the_openai_client() -> None:
    async with (
        serving(surfaces=lmx_surfaces()) as server,
        AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client,
    ):
        stream = await client.chat.completions.create(**chat(stream=True, stream_options={"include_usage": True}))
        chunks = [chunk async for chunk in stream]

    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == "Hello world"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 7
    assert len({chunk.id for chunk in chunks}) == 1


async def test_a_stream_is_role_content_finish_and_done() -> None:
    async with (
        serving(surfaces=lmx_surfaces()) as server,
        server.client() as client,
        aconnect_sse(client, "POST", CHAT, json=chat(stream=True)) as source,
    ):
        events = [event.data async for event in source.aiter_sse()]

    chunks = data_of(f"data: {event}" for event in events)
    assert [chunk["choices"][0]["delta"] for chunk in chunks[:-1]] == [
        {"role": "assistant", "content": ""},
        {"content": "Hello"},
        {"content": " world"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None, None, None, "stop"]
    assert chunks[-1] == "[DONE]"
    assert all("usage" not in chunk for chunk in chunks[:-1])


async def test_a_whole_answer_has_the_documented_shape() -> None:
    services = FakeServices(script=lambda _: [Piece(text="Hello", logprobs=LOGPROBS), *said("")], warnings=["w"])

    answer = await ask(services, logprobs=True)

    assert structure(answer.json(), ChatCompletion).choices[0].message.content == "Hello"


async def test_the_request_reaches_the_engine_as_it_was_meant() -> None:
    services = FakeServices()
    fields = {
        "max_completion_tokens": 9,
        "stop": "END",
        "seed": 7,
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 3,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
        "presence_penalty": 1,
        "frequency_penalty": -1,
        "logit_bias": {"12": -100},
        "logprobs": True,
        "top_logprobs": 4,
        "num_ctx": 1024,
        "chat_template_kwargs": {"enable_thinking": False},
    }

    headers = {"X-Client-ID": "cli", "X-Priority": "low", "X-Timeout": "9", "X-Request-ID": "mine"}
    answer = await ask(services, headers, **fields)

    [asked] = services.asked
    assert answer.status_code == 200
    assert (asked.model, asked.max_tokens, asked.stop, asked.logprobs) == ("real-model", 9, ("END",), 4)
    assert (asked.num_ctx, asked.chat_template_kwargs) == (1024, {"enable_thinking": False})
    assert (asked.sampling.temperature, asked.sampling.top_p, asked.sampling.top_k) == (0.0, 0.5, 3)
    assert (asked.sampling.min_p, asked.sampling.repetition_penalty, asked.sampling.seed) == (0.1, 1.1, 7)
    assert (asked.sampling.presence_penalty, asked.sampling.frequency_penalty) == (1.0, -1.0)
    assert asked.sampling.logit_bias == {12: -100.0}
    assert (asked.client, asked.priority, asked.timeout_s, asked.request_id) == ("cli", "low", 9.0, "mine")
    assert (asked.surface, asked.stream, asked.lenient) == ("openai", False, False)


async def test_what_the_client_sets_to_what_it_is_anyway_is_told_apart_from_what_it_leaves_open() -> None:
    services = FakeServices()

    await ask(services, stop=[], response_format={"type": "text"}, temperature=0.7)
    await ask(services, stop=None)

    told, silent = services.asked
    assert (told.stop, told.response_format, sorted(told.explicit)) == ((), None, ["response_format", "stop"])
    assert (silent.stop, sorted(silent.explicit)) == ((), [])
    assert silent.open_sampling - told.open_sampling == {"temperature"}


async def test_nulls_mean_the_defaults() -> None:
    services = FakeServices()
    names = ["max_tokens", "stop", "temperature", "top_p", "n", "seed", "logit_bias", "stream", "tools", "logprobs"]

    answer = await ask(services, **dict.fromkeys(names))

    [asked] = services.asked
    assert answer.status_code == 200
    assert (asked.max_tokens, asked.n, asked.stop, asked.logprobs, asked.tools) == (None, 1, (), None, ())
    assert (asked.sampling.temperature, asked.sampling.top_p) == (0.7, 1.0)


async def test_several_choices_are_told_apart() -> None:
    def script(_: Any) -> list[Any]:
        return [
            Piece(index=1, text="b"),
            Piece(index=0, text="a"),
            Piece(index=1, finish_reason="length"),
            Piece(index=0, finish_reason="stop", usage=USAGE),
        ]

    whole = await ask(FakeServices(script=script), n=2)
    stream = await ask(FakeServices(script=script), n=2, stream=True)

    assert [
        (choice["index"], choice["message"]["content"], choice["finish_reason"]) for choice in whole.json()["choices"]
    ] == [(0, "a", "stop"), (1, "b", "length")]
    chunks = [chunk["choices"][0] for chunk in data_of(stream.text.splitlines())[:-1]]
    assert [(chunk["index"], chunk["delta"], chunk["finish_reason"]) for chunk in chunks] == [
        (0, {"role": "assistant", "content": ""}, None),
        (1, {"role": "assistant", "content": ""}, None),
        (1, {"content": "b"}, None),
        (0, {"content": "a"}, None),
        (1, {}, "length"),
        (0, {}, "stop"),
    ]


async def test_logprobs_are_reported_in_both_forms() -> None:
    def script(_: Any) -> list[Any]:
        return [Piece(text="Hello", logprobs=LOGPROBS), *said("")]

    whole = await ask(FakeServices(script=script), logprobs=True, top_logprobs=2)
    stream = await ask(FakeServices(script=script), logprobs=True, top_logprobs=2, stream=True)

    expected = [
        {
            "token": "He",
            "logprob": -0.5,
            "bytes": [72, 101],
            "top_logprobs": [
                {"token": "He", "logprob": -0.5, "bytes": [72, 101]},
                {"token": "Hi", "logprob": -9999.0, "bytes": [72, 105]},
            ],
        },
        {"token": "llo", "logprob": -0.25, "bytes": [108, 108, 111], "top_logprobs": []},
    ]
    assert whole.json()["choices"][0]["logprobs"] == {"content": expected}
    assert data_of(stream.text.splitlines())[1]["choices"][0]["logprobs"] == {"content": expected}


async def test_tool_calls_and_reasoning_are_reported_in_both_forms() -> None:
    def script(_: Any) -> list[Any]:
        return [
            Piece(reasoning="hmm"),
            Piece(tool_calls=CALL[:1]),
            Piece(tool_calls=CALL[1:]),
            Piece(finish_reason="tool_calls", usage=USAGE),
        ]

    whole = await ask(FakeServices(script=script))
    stream = await ask(FakeServices(script=script), stream=True)

    assert whole.json()["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
        "reasoning_content": "hmm",
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}],
    }
    assert [chunk["choices"][0]["delta"] for chunk in data_of(stream.text.splitlines())[1:4]] == [
        {"reasoning_content": "hmm"},
        {
            "tool_calls": [
                {"index": 0, "function": {"arguments": '{"a":', "name": "add"}, "id": "call_1", "type": "function"}
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
    ]

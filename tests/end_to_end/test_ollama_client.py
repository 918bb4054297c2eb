"""The unmodified `ollama` client against a running server: the built-in models on their real engines, and `echo`."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ollama import Client, ResponseError

from serving import Server, served

ASKED = [{"role": "user", "content": "What is the weather in Paris?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
GREEDY = {"temperature": 0, "num_predict": 24}
THOUGHT = "<think>\nParis it is.\n</think>\n\nParis."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    thinking = {"echo": {"reply": THOUGHT, "chat_template": "enable_thinking <think></think>"}}
    config = {
        "plugins": {"ollama": {"enabled": True}, "echo": {"enabled": True}},
        "models": {"settings": {"echo-tokens": thinking}},
    }
    with served(tmp_path_factory.mktemp("ollama"), config) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    with Client(server.url) as client:
        yield client


def test_a_chat_is_answered_whole_with_its_numbers(client: Any) -> None:
    answer = client.chat("lmx-tiny:latest", messages=[{"role": "user", "content": "What is LMX?"}], options=GREEDY)

    assert answer.message.content
    assert (answer.done, answer.done_reason in ("stop", "length"), answer.model) == (True, True, "lmx-tiny:latest")
    assert answer.prompt_eval_count > 0
    assert 0 < answer.eval_count <= 24
    assert answer.total_duration >= answer.prompt_eval_duration > 0
    assert answer.eval_duration > 0
    assert answer.load_duration >= 0


def test_a_streamed_chat_says_the_same_as_a_whole_one(client: Any) -> None:
    asked = {"messages": [{"role": "user", "content": "What is LMX?"}], "options": GREEDY}
    whole = client.chat("lmx-tiny", **asked)

    pieces = list(client.chat("lmx-tiny", stream=True, **asked))

    assert "".join(piece.message.content for piece in pieces) == whole.message.content
    assert [piece.done for piece in pieces] == [*[False] * (len(pieces) - 1), True]
    assert pieces[-1].eval_count == whole.eval_count
    assert len(pieces) > 2


def test_a_prompt_is_continued_in_the_template_or_raw(client: Any) -> None:
    templated = client.generate("lmx-tiny", "What is LMX?", system="Be brief.", options=GREEDY)
    raw = client.generate("lmx-tiny", "What is LMX?", raw=True, options=GREEDY)
    streamed = list(client.generate("lmx-tiny", "What is LMX?", raw=True, options=GREEDY, stream=True))

    assert templated.response
    assert raw.prompt_eval_count < templated.prompt_eval_count
    assert "".join(piece.response for piece in streamed) == raw.response


def test_a_tool_is_called_and_its_result_is_read(client: Any) -> None:
    first = client.chat("lmx-tiny", messages=ASKED, tools=[WEATHER], options={"temperature": 0})
    call = first.message.tool_calls[0]
    result = {"role": "tool", "tool_name": "get_weather", "content": '{"temperature": 21, "condition": "sunny"}'}
    second = client.chat(
        "lmx-tiny", messages=[*ASKED, first.message, result], tools=[WEATHER], options={"temperature": 0}
    )
    streamed = list(client.chat("lmx-tiny", messages=ASKED, tools=[WEATHER], options={"temperature": 0}, stream=True))

    assert (call.function.name, list(call.function.arguments)) == ("get_weather", ["city"])
    assert second.message.content
    calls = [call for piece in streamed for call in piece.message.tool_calls or ()]
    assert [call.function.arguments for call in calls] == [call.function.arguments for call in first.message.tool_calls]


def test_a_format_holds(client: Any) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    fitting = client.chat("lmx-tiny", messages=ASKED, format=schema, options={"temperature": 0, "num_predict": 200})

    assert isinstance(json.loads(fitting.message.content)["n"], int)


def test_thoughts_stand_apart(client: Any) -> None:
    answer = client.chat("echo-tokens", messages=ASKED, think=True)

    assert answer.message.thinking.strip() == "Paris it is."
    assert answer.message.content.strip() == "Paris."


def test_a_model_that_cannot_think_may_be_told_not_to(client: Any) -> None:
    assert client.chat("echo", messages=ASKED, think=False).message.content
    with pytest.raises(ResponseError) as refused:
        client.chat("echo", messages=ASKED, think=True)
    assert refused.value.status_code == 400


def test_models_are_listed_shown_loaded_and_unloaded(client: Any) -> None:
    listed = {model.model: model for model in client.list().models}
    shown = client.show("lmx-tiny:latest")
    loaded = client.generate("lmx-tiny", keep_alive="5m")
    running = {model.model: model for model in client.ps().models}
    unloaded = client.generate("lmx-tiny", keep_alive=0)
    left = {model.model for model in client.ps().models}

    assert listed["lmx-tiny:latest"].size > 0
    assert len(listed["lmx-tiny:latest"].digest) == 64
    assert {"completion", "tools"} <= set(shown.capabilities)
    assert (loaded.done_reason, unloaded.done_reason) == ("load", "unload")
    assert running["lmx-tiny:latest"].size > 0
    assert running["lmx-tiny:latest"].expires_at is not None
    assert "lmx-tiny:latest" not in left


def test_a_model_that_stays_for_longer_than_there_are_dates_is_listed(client: Any) -> None:
    client.generate("lmx-tiny", keep_alive="99999999999h")
    running = {model.model: model for model in client.ps().models}
    client.generate("lmx-tiny", keep_alive=0)

    assert running["lmx-tiny:latest"].expires_at.year > 2100


def test_a_model_is_unloaded_after_its_answer_where_that_is_asked_for(client: Any) -> None:
    list(client.chat("lmx-tiny", messages=ASKED, options=GREEDY, stream=True, keep_alive=0))

    assert "lmx-tiny:latest" not in {model.model for model in client.ps().models}


def test_a_model_that_an_administrator_pinned_stays(client: Any, server: Server) -> None:
    client.generate("lmx-tiny", keep_alive="5m")
    with server.client() as admin:
        admin.post("/admin/models/lmx-tiny/pin").raise_for_status()
        try:
            with pytest.raises(ResponseError, match="is pinned") as refused:
                client.generate("lmx-tiny", keep_alive=0)
            client.chat("lmx-tiny", messages=ASKED, options=GREEDY, keep_alive=0)

            assert refused.value.status_code == 409
            assert "lmx-tiny:latest" in [model.model for model in client.ps().models]
        finally:
            admin.delete("/admin/models/lmx-tiny/pin").raise_for_status()


def test_an_answer_ends_before_the_last_of_a_dozen_stop_strings(client: Any) -> None:
    whole = client.chat("lmx-tiny", messages=[{"role": "user", "content": "What is LMX?"}], options=GREEDY)
    stop = whole.message.content[5:9]
    stops = [*(f"<{n}>" for n in range(11)), stop]

    cut = client.chat(
        "lmx-tiny", messages=[{"role": "user", "content": "What is LMX?"}], options={**GREEDY, "stop": stops}
    )

    assert cut.message.content == whole.message.content[: whole.message.content.index(stop)]
    assert cut.done_reason == "stop"


def test_a_stop_string_in_the_thoughts_ends_nothing(client: Any) -> None:
    asked = {"messages": ASKED, "think": True, "options": {"stop": ["Paris it", "</think>", "it is"]}}
    whole = client.chat("echo-tokens", **asked)
    streamed = list(client.chat("echo-tokens", stream=True, **asked))

    assert (whole.message.thinking, whole.message.content) == ("Paris it is.", "Paris.")
    assert "".join(piece.message.content or "" for piece in streamed) == "Paris."


def test_texts_are_embedded_as_vectors_of_length_one(client: Any) -> None:
    one = client.embed("lmx-tiny-embed", "hello")
    two = client.embed("lmx-tiny-embed", ["hello", "world"], truncate=True)
    old = client.embeddings("lmx-tiny-embed", "hello")

    assert sum(value * value for value in one.embeddings[0]) == pytest.approx(1, abs=1e-3)
    assert len(two.embeddings) == 2
    assert two.embeddings[0] == pytest.approx(one.embeddings[0], abs=1e-3)
    assert len(old.embedding) == len(one.embeddings[0])
    assert one.prompt_eval_count > 0


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"model": "nothing"}, 404, "nothing"),
        ({"options": {"mirostat": 2}}, 400, "mirostat"),
        ({"options": {"colour": "red"}}, 400, "colour"),
        ({"options": {"temperature": "hot"}}, 400, "temperature"),
        ({"options": {"num_predict": 0}}, 400, "num_predict"),
        ({"keep_alive": "a while"}, 400, "keep_alive"),
        ({"format": "yaml"}, 400, "format"),
        ({"messages": [{"role": "user", "content": "hi", "images": ["aGk="]}]}, 400, "images"),
        ({"messages": [{"role": "tool", "content": "21"}]}, 400, "result"),
    ],
)
def test_what_is_wrong_is_told_as_ollama_does(server: Server, fields: dict[str, Any], status: int, words: str) -> None:
    with server.client() as client:
        answer = client.post("/api/chat", json={"model": "lmx-tiny", "messages": ASKED, **fields})

    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"suffix": "}"}, "suffix"),
        ({"template": "{{ .Prompt }}"}, "template"),
        ({"context": [1, 2]}, "context"),
        ({"images": ["aGk="]}, "images"),
        ({"raw": True, "system": "x"}, "raw"),
    ],
)
def test_what_a_completion_cannot_have_is_refused(server: Server, fields: dict[str, Any], words: str) -> None:
    with server.client() as client:
        answer = client.post("/api/generate", json={"model": "lmx-tiny", "prompt": "def f():", **fields})

    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_a_lenient_client_gets_a_warning(server: Server) -> None:
    body = {
        "model": "echo",
        "messages": ASKED,
        "options": {"mirostat": 2, "num_thread": 4},
        "stream": False,
        "truncate": False,
    }
    with server.client(headers={"X-LMX-Lenient": "1"}) as client:
        answer = client.post("/api/chat", json=body).json()

    assert answer["warnings"] == ["options.mirostat was dropped: it is not supported"]


def test_clients_find_ollama_running(server: Server) -> None:
    with server.client() as client:
        root, head, version = client.get("/"), client.head("/"), client.get("/api/version")
        missing = client.post("/api/pull", json={"model": "x"})

    assert (root.text, head.status_code) == ("Ollama is running", 200)
    assert version.json()["version"]
    assert (missing.status_code, set(missing.json())) == (404, {"error"})

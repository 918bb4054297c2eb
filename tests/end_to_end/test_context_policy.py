"""Chats that outgrow the context, over a real socket with the built-in model."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from serving import Server, served

CONTEXT = 640
PRESET = "name: forgetful\nmodel: lmx-tiny\nparameters: {context_policy: trim, max_tokens: 24}\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("context")
    presets = folder / "presets"
    presets.mkdir()
    (presets / "forgetful.yaml").write_text(PRESET)
    config = {
        "models": {"settings": {"lmx-tiny": {"context_length": CONTEXT}}},
        "presets": {"directory": str(presets)},
        "plugins": {"ollama": {"enabled": True}},
    }
    with served(folder, config) as running:
        yield running


def long_chat(question: str) -> list[dict[str, Any]]:
    told = [
        {"role": role, "content": f"Tell me about number {turn}. " * 6}
        for turn in range(20)
        for role in ("user", "assistant")
    ]
    return [*told, {"role": "user", "content": question}]


def ask(server: Server, **body: Any) -> httpx.Response:
    sent = {"model": "lmx-tiny", "messages": long_chat("How do I list the plugins?"), "max_tokens": 24, **body}
    return httpx.post(f"{server.url}/v1/chat/completions", json=sent, timeout=60)


def test_a_chat_that_outgrew_the_context_is_refused_by_default(server: Server) -> None:
    for body in ({}, {"context_policy": "error"}):
        refused = ask(server, **body)

        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "context_length_exceeded"
        assert "context_policy: trim" in refused.json()["error"]["message"]


def test_trimming_gives_an_answer_and_says_what_was_left_out(server: Server) -> None:
    answer = ask(server, context_policy="trim").json()

    assert answer["choices"][0]["message"]["content"]
    assert answer["usage"]["prompt_tokens"] <= CONTEXT - 24
    (warning,) = answer["warnings"]
    assert "messages were left out to fit the context" in warning
    assert "of 41 messages" in warning


def test_a_stream_carries_the_warning_in_its_last_chunk(server: Server) -> None:
    lines = ask(server, context_policy="trim", stream=True).text.splitlines()

    assert lines[-2] == "data: [DONE]"
    assert "messages were left out to fit the context" in lines[-4]


def test_a_preset_can_trim_and_a_request_can_forbid_it(server: Server) -> None:
    assert ask(server, model="preset:forgetful").json()["warnings"]
    assert ask(server, model="preset:forgetful", context_policy="error").status_code == 400


def test_an_unknown_policy_is_refused_by_name(server: Server) -> None:
    refused = ask(server, context_policy="summarise").json()["error"]

    assert refused["param"] == "context_policy"


def ask_as_ollama(server: Server, path: str = "/api/chat", **body: Any) -> httpx.Response:
    sent = {"model": "lmx-tiny", "stream": False, "options": {"num_predict": 24}, **body}
    return httpx.post(f"{server.url}{path}", json=sent, timeout=60)


@pytest.mark.parametrize("truncate", [{}, {"truncate": True}])
def test_ollama_s_chats_are_trimmed_and_say_what_was_left_out(server: Server, truncate: dict[str, Any]) -> None:
    answer = ask_as_ollama(server, messages=long_chat("How do I list the plugins?"), **truncate).json()

    assert answer["message"]["content"]
    assert answer["prompt_eval_count"] <= CONTEXT - 24
    assert "of 41 messages" in answer["warnings"][0]


def test_ollama_s_clients_learn_how_to_have_a_chat_trimmed_and_a_prompt_shortened(server: Server) -> None:
    chat = ask_as_ollama(server, messages=long_chat("How?"), truncate=False)
    prompt = ask_as_ollama(server, "/api/generate", prompt="Tell me about LMX. " * 200)

    assert (chat.status_code, prompt.status_code) == (400, 400)
    assert chat.json()["error"].endswith("shorten the prompt, or send truncate: true to have old messages left out")
    assert prompt.json()["error"].endswith("shorten the prompt")


def test_ollama_s_num_predict_above_the_context_is_what_is_left_of_it(server: Server) -> None:
    short = [{"role": "user", "content": "What is LMX?"}]

    answer = ask_as_ollama(server, messages=short, options={"num_predict": CONTEXT * 10, "temperature": 0})

    assert answer.status_code == 200
    assert answer.json()["prompt_eval_count"] + answer.json()["eval_count"] <= CONTEXT


def test_ollama_s_chat_that_fits_the_context_loses_nothing_to_a_long_answer_that_it_asks_for(server: Server) -> None:
    messages = [{"role": "user", "content": "What is LMX? " * 100}, {"role": "assistant", "content": "A server."}]
    messages.append({"role": "user", "content": "What is LMX?"})
    counts = set()

    for most in (1, CONTEXT - 1, CONTEXT * 10):
        answer = ask_as_ollama(server, messages=messages, options={"num_predict": most}).json()
        assert "warnings" not in answer
        counts.add(answer["prompt_eval_count"])

    assert len(counts) == 1
    assert CONTEXT / 2 < counts.pop() < CONTEXT


def test_anthropic_s_clients_learn_where_the_policy_is_set(server: Server) -> None:
    sent = {"model": "lmx-tiny", "messages": long_chat("How do I list the plugins?"), "max_tokens": 24}

    refused = httpx.post(f"{server.url}/v1/messages", json=sent, timeout=60)
    trimmed = httpx.post(f"{server.url}/v1/messages", json={**sent, "model": "preset:forgetful"}, timeout=60)

    assert refused.status_code == 400
    assert "or ask for a preset with context_policy: trim" in refused.json()["error"]["message"]
    assert trimmed.status_code == 200


def test_a_prompt_far_above_the_context_is_refused_or_trimmed_by_its_beginning(server: Server) -> None:
    long = {"role": "user", "content": "Tell me about LMX. " * 50_000}
    turn = {"role": "assistant", "content": "It is a server."}

    refused = ask(server, messages=[long])
    trimmed = ask(server, messages=[long, turn, {"role": "user", "content": "What is LMX?"}], context_policy="trim")
    counted = httpx.post(
        f"{server.url}/v1/messages/count_tokens", json={"model": "lmx-tiny", "messages": [long]}, timeout=60
    )

    assert refused.status_code == 400
    assert f"has more than {CONTEXT} tokens and the context {CONTEXT}" in refused.json()["error"]["message"]
    assert "2 of 3 messages were left out" in trimmed.json()["warnings"][0]
    assert counted.json()["input_tokens"] > 50_000

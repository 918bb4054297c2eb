from typing import Any

import pytest

from http_support import error_of, serving
from lmx_openai import lmx_surfaces
from lmx_openai.unknown import is_neutral

CHAT = "/v1/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize("value", [None, False, 0, 0.0, "", [], {}])
def test_a_value_that_asks_for_nothing_passes(value: Any) -> None:
    assert is_neutral("novelty", value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user", "somebody"),
        ("metadata", {"a": "b"}),
        ("store", False),
        ("service_tier", "auto"),
        ("safety_identifier", "x"),
        ("prompt_cache_key", "x"),
        ("prompt_cache_options", {"mode": "explicit"}),
        ("prompt_cache_retention", "24h"),
        ("parallel_tool_calls", True),
        ("best_of", 1),
        ("modalities", ["text"]),
        ("cache_prompt", True),
        ("verbosity", "medium"),
    ],
)
async def test_fields_that_only_describe_the_request_are_accepted(name: str, value: Any) -> None:
    async with serving(surfaces=lmx_surfaces()) as server:
        answer = await server.ask("POST", CHAT, json={**BODY, name: value})

    assert answer.status_code == 200
    assert "warnings" not in answer.json()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("store", True),
        ("best_of", 3),
        ("modalities", ["audio"]),
        ("verbosity", "low"),
        ("guided_grammar", "root ::= x"),
    ],
)
async def test_anything_else_is_refused_by_name(name: str, value: Any) -> None:
    async with serving(surfaces=lmx_surfaces()) as server:
        answer = await server.ask("POST", CHAT, json={**BODY, name: value})

    error = error_of(answer)
    assert (answer.status_code, error["code"], error["param"]) == (400, "unsupported_parameter", name)
    assert "X-LMX-Lenient" in error["message"]


async def test_a_lenient_client_is_warned_instead() -> None:
    async with serving(surfaces=lmx_surfaces()) as server:
        answer = await server.ask("POST", CHAT, json={**BODY, "guided_grammar": "x"}, headers={"X-LMX-Lenient": "1"})

    assert answer.status_code == 200
    assert answer.json()["warnings"] == ["guided_grammar was dropped: it is not supported"]

"""Limits of requests and tokens over a real socket."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI, RateLimitError

from serving import served

ECHO = {"echo": {"enabled": True}}
KEYS = {"api_keys": ["first-key", "second-key", "third-key"], "admin_key": "admin"}


def limited(**limits: Any) -> dict[str, Any]:
    return {"plugins": {**ECHO, "ratelimit": limits}}


def ask(client: httpx.Client, headers: Mapping[str, str] | None = None, **fields: Any) -> httpx.Response:
    body = {"model": "echo", "messages": [{"role": "user", "content": "hello"}], **fields}
    return client.post("/v1/chat/completions", json=body, headers=headers)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_the_third_request_of_two_a_minute_is_told_when_to_come_back(tmp_path: Path) -> None:
    with served(tmp_path, limited(requests_per_minute=2)) as server, server.client() as client:
        first, second, third = (ask(client) for _ in range(3))
        metrics = client.get("/metrics").text

    assert [answer.status_code for answer in (first, second, third)] == [200, 200, 429]
    assert third.json()["error"]["code"] == "rate_limit_exceeded"
    assert third.json()["error"]["message"].startswith("the limit of requests per minute is used up for this client")
    assert 25 <= int(third.headers["retry-after"]) <= 30
    assert third.headers["x-request-id"]
    assert third.headers["ratelimit-policy"] == '"requests";q=2;w=60'
    assert third.headers["ratelimit"] == f'"requests";r=0;t={third.headers["retry-after"]}'
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in (first, second, third)] == ["1", "0", "0"]
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-reset-requests"].endswith("s")
    assert 'lmx_rate_limited_requests_total{limit="requests"} 1.0' in metrics


def test_a_stream_is_limited_like_any_answer(tmp_path: Path) -> None:
    with served(tmp_path, limited(requests_per_minute=1)) as server, server.client() as client:
        streamed, refused = ask(client, stream=True), ask(client, stream=True)

    assert streamed.text.endswith("data: [DONE]\n\n")
    assert streamed.headers["ratelimit"].startswith('"requests";r=0;t=')
    assert (refused.status_code, refused.headers["content-type"]) == (429, "application/json")


def test_each_key_has_a_limit_of_its_own_and_one_may_have_another(tmp_path: Path) -> None:
    limits = limited(requests_per_minute=1, keys={"key-2": {"requests_per_minute": 2}, "key-3": {}})
    with served(tmp_path, {**limits, "security": KEYS}) as server, server.client() as client:
        first = [ask(client, bearer("first-key")).status_code for _ in range(2)]
        second = [ask(client, bearer("second-key")).status_code for _ in range(3)]
        third = [ask(client, bearer("third-key")) for _ in range(3)]
        wrong = ask(client, bearer("no-key"))

    assert first == [200, 429]
    assert second == [200, 200, 429]
    assert [answer.status_code for answer in third] == [200, 200, 200]
    assert "ratelimit" not in third[0].headers
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "invalid_api_key")


def test_a_key_cannot_escape_its_limit_under_another_name(tmp_path: Path) -> None:
    with (
        served(tmp_path, {**limited(requests_per_minute=1), "security": KEYS}) as server,
        server.client(headers=bearer("first-key")) as client,
    ):
        answers = [ask(client, {"X-Client-ID": name}).status_code for name in ("one", "two")]

    assert answers == [200, 429]


def test_without_keys_each_client_label_has_a_limit_of_its_own(tmp_path: Path) -> None:
    with served(tmp_path, limited(requests_per_minute=1)) as server, server.client() as client:
        answers = [ask(client, {"X-Client-ID": name}).status_code for name in ("one", "two", "one")]

    assert answers == [200, 200, 429]


def test_a_long_answer_leaves_a_debt_that_the_next_request_waits_for(tmp_path: Path) -> None:
    with served(tmp_path, limited(tokens_per_minute=30)) as server, server.client() as client:
        first = ask(client, messages=[{"role": "user", "content": "word " * 50}])
        second = ask(client)

    used = first.json()["usage"]["total_tokens"]
    assert used > 30
    assert first.headers["x-ratelimit-limit-tokens"] == "30"
    assert first.headers["x-ratelimit-remaining-tokens"] == "0"
    assert first.headers["ratelimit-policy"] == '"tokens";q=30;qu="tokens";w=60'
    assert second.status_code == 429
    owed_s = (used - 30 + 1) / 30 * 60
    assert owed_s - 10 < int(second.headers["retry-after"]) <= owed_s + 1


def test_what_an_operator_needs_and_what_says_how_it_goes_is_never_limited(tmp_path: Path) -> None:
    config = limited(requests_per_minute=1)
    with served(tmp_path, config) as server, server.client() as client:
        ask(client)
        paths = ["/healthz", "/readyz", "/metrics", "/openapi.json", "/admin/health", "/admin/stack"]
        answers = [client.get(path) for path in paths for _ in range(2)]
        unloaded = client.post("/admin/models/unload", json={"model_id": "echo"})
        stack = client.get("/admin/stack").json()

    assert {answer.status_code for answer in answers} == {200}
    assert unloaded.status_code == 200
    assert stack["middlewares"]["ratelimit.ratelimit"]["latest"]["anonymous"]["requests"] < 1


def test_a_reload_brings_limits_and_takes_them_away(tmp_path: Path) -> None:
    with served(tmp_path, {"plugins": ECHO}) as server, server.client() as client:
        free = ask(client)
        (tmp_path / "config.d" / "50-test.yaml").write_text(json.dumps(limited(requests_per_minute=1)))
        changed = client.post("/admin/config/reload").json()["changed"]
        answers = [ask(client).status_code for _ in range(2)]
        (tmp_path / "config.d" / "50-test.yaml").write_text(json.dumps({"plugins": ECHO}))
        client.post("/admin/config/reload")
        after = ask(client)

    assert (free.status_code, "ratelimit" in free.headers) == (200, False)
    assert changed == ["plugins.ratelimit.requests_per_minute"]
    assert answers == [200, 429]
    assert after.status_code == 200


def test_the_openai_client_understands_the_refusal(tmp_path: Path) -> None:
    with (
        served(tmp_path, limited(requests_per_minute=1)) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
    ):
        ask = partial(client.chat.completions.create, model="echo", messages=[{"role": "user", "content": "hello"}])
        ask()
        with pytest.raises(RateLimitError) as refusal:
            ask()

    assert (refusal.value.status_code, refusal.value.code) == (429, "rate_limit_exceeded")

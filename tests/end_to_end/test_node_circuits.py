"""The circuit of a node, over real sockets: what opens it, what does not, and who closes it."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from helper_node import Helper, helper_node
from serving import eventually, served

BOOM = {"error": {"message": "boom"}}
EMBED = "/v1/embeddings"
RERANK = "/v1/rerank"
BODIES: dict[str, dict[str, Any]] = {
    EMBED: {"model": "box/m", "input": "a"},
    RERANK: {"model": "box/m", "query": "q", "documents": ["a", "b"]},
}
GOOD = Helper().answers


@pytest.fixture
def helper() -> Iterator[Helper]:
    with helper_node() as made:
        yield made


def fail(helper: Helper) -> None:
    helper.status, helper.answers = 500, dict.fromkeys(GOOD, BOOM)


def mend(helper: Helper) -> None:
    helper.status, helper.answers = 200, dict(GOOD)


def config(helper: Helper, reset_after_s: float, **helper_options: Any) -> dict[str, Any]:
    quick = {"remote": {"health_interval_s": 0.1}, "breaker": {"reset_after_s": reset_after_s}}
    node = {"url": helper.url, "model": "m", "fallback": "skip", **helper_options}
    return {"helper_nodes": {"embedding": node, "reranking": node}, "plugins": quick}


def circuit(client: httpx.Client) -> str:
    return str(client.get("/admin/helpers").json()["helpers"]["embedding"]["circuit_state"])


def embed(client: httpx.Client) -> int:
    return client.post(EMBED, json=BODIES[EMBED]).status_code


def test_after_its_time_one_probe_decides_whether_the_circuit_opens_again_or_closes(
    tmp_path: Path, helper: Helper
) -> None:
    fail(helper)
    with served(tmp_path, config(helper, 1.0)) as front, front.client() as client, ThreadPoolExecutor(8) as crowd:
        failed = [embed(client) for _ in range(4)]
        eventually(lambda: circuit(client) == "half_open", timeout_s=10)
        before, helper.pause_s = len(helper.asked), 0.4
        at_once = Counter(crowd.map(lambda _: embed(client), range(8)))
        probes = len(helper.asked) - before
        opened_again = circuit(client)
        mend(helper)
        helper.pause_s = 0.0
        eventually(lambda: circuit(client) == "half_open", timeout_s=10)
        healed = embed(client)
        closed = circuit(client)

    assert failed == [502] * 4
    assert before == 3  # the fourth did not reach it
    assert (probes, at_once) == (1, Counter({502: 8}))
    assert opened_again == "open"
    assert (healed, closed) == (200, "closed")


def test_looks_that_work_do_not_close_a_circuit_early(tmp_path: Path, helper: Helper) -> None:
    fail(helper)
    with served(tmp_path, config(helper, 600.0)) as front, front.client() as client:
        for _ in range(3):
            embed(client)
        mend(helper)
        looks = helper.looks
        eventually(lambda: helper.looks >= looks + 5, timeout_s=10)
        state, answer = circuit(client), embed(client)
        healthy = client.get("/admin/helpers").json()["live_checks"]["embedding"]

    assert (state, answer, healthy) == ("open", 502, True)
    assert len(helper.asked) == 3


def test_looks_that_fail_do_not_open_a_circuit(tmp_path: Path, helper: Helper) -> None:
    helper.health = 500
    with served(tmp_path, config(helper, 600.0)) as front, front.client() as client:
        eventually(lambda: helper.looks >= 5, timeout_s=10)
        healthy = client.get("/admin/helpers").json()["live_checks"]["embedding"]
        state, answers = circuit(client), [embed(client) for _ in range(4)]

    assert (state, healthy) == ("closed", False)
    assert answers == [200] * 4


@pytest.mark.parametrize("path", [EMBED, RERANK])
def test_with_the_fallback_local_the_model_that_was_named_answers(tmp_path: Path, helper: Helper, path: str) -> None:
    fail(helper)
    with helper_node() as other:
        settings = config(helper, 600.0, fallback="local")
        settings["backends"] = {"box": {"url": other.url, "models": ["m"], "roles": ["embedding", "rerank"]}}
        with served(tmp_path, settings) as front, front.client() as client:
            answers = [client.post(path, json=BODIES[path]) for _ in range(4)]

    assert [(answer.status_code, answer.headers["x-lmx-served-by"]) for answer in answers] == [(200, "box/m")] * 4
    assert (len(helper.asked), len(other.asked)) == (3, 4)


@pytest.mark.parametrize(
    ("fallback", "status", "code"),
    [("skip", 502, "helper_node_unavailable"), ("local", 503, "reranking_unavailable")],
)
def test_a_reranking_that_its_helper_cannot_do(
    tmp_path: Path, helper: Helper, fallback: str, status: int, code: str
) -> None:
    fail(helper)
    with served(tmp_path, config(helper, 600.0, fallback=fallback)) as front, front.client() as client:
        answer = client.post(RERANK, json=BODIES[RERANK])
        mend(helper)
        clamped = client.post(RERANK, json={**BODIES[RERANK], "top_n": 9})
        blank = client.post(RERANK, json={**BODIES[RERANK], "query": "  "})

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert [result["index"] for result in clamped.json()["results"]] == [1, 0]
    assert blank.status_code == 400


@pytest.mark.parametrize("stream", [False, True])
def test_a_node_answers_for_a_local_model_that_fails_and_while_its_circuit_is_open(
    tmp_path: Path, *, stream: bool
) -> None:
    broken = {"echo-process": {"echo": {"fail_after": 0}, "fallback": ["box/echo"]}}
    echo = {"echo": {"enabled": True}}
    with served(tmp_path / "node", {"plugins": echo}) as node:
        settings = {"plugins": echo, "models": {"settings": broken, "warmup_on_load": False}}
        backends = {"box": {"url": node.url, "models": ["echo"]}}
        with served(tmp_path / "front", {**settings, "backends": backends}) as front, front.client() as client:
            messages = [{"role": "user", "content": "hi"}]
            body = {"model": "echo-process", "messages": messages, "stream": stream}
            answers = [client.post("/v1/chat/completions", json=body) for _ in range(5)]
            guards = client.get("/admin/stack").json()["guards"]

    states = {name: target["state"] for guard in guards for name, target in guard["targets"].items()}
    assert [answer.status_code for answer in answers] == [200] * 5
    assert {answer.headers["x-lmx-served-by"] for answer in answers} == {"box/echo"}
    assert all('"model":"box/echo"' in answer.text.replace('": "', '":"') for answer in answers)
    assert states["echo-process"] == "open"

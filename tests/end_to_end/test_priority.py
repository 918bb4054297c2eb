import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import define, field

from lmx.keys import KeyStore
from serving import Server, eventually, served

CHAT = "/v1/chat/completions"
PATIENCE_S = 30.0
TOKENS_PER_SECOND = 20
LONG = 60
"""Tokens of an answer that takes three seconds."""


def config(*, limit: int = 1, **priority: Any) -> dict[str, Any]:
    echo = {"enabled": True, "reply": "word " * 2000, "tokens_per_second": TOKENS_PER_SECOND}
    return {
        "scheduling": {"policy": "priority"},
        "models": {"max_concurrent_requests": limit, "auto_load": ["echo"]},
        "plugins": {"echo": echo, "priority": priority},
    }


def body(tokens: int, model: str = "echo", *, stream: bool = False) -> dict[str, Any]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": tokens,
        "stream": stream,
    }


@define
class Crowd:
    """Clients that ask at the same time, and what they got."""

    server: Server
    client: httpx.Client
    answers: list[tuple[str, int]] = field(factory=list)
    """Name and status, in the order in which they came."""
    threads: list[threading.Thread] = field(factory=list)

    def ask(self, name: str, tokens: int = 1, model: str = "echo", **headers: str) -> None:
        """One client more; the scheduler knows of it by the time this returns."""
        known = self.present()
        self.start(name, tokens, model, **headers)
        self.wait_for(lambda: self.present() > known or not self.threads[-1].is_alive())

    def start(self, name: str, tokens: int = 1, model: str = "echo", **headers: str) -> None:
        """One client more."""
        sent = {header.replace("_", "-"): value for header, value in headers.items()}
        self.threads.append(threading.Thread(target=self._ask, args=(name, body(tokens, model), sent)))
        self.threads[-1].start()

    def names(self) -> list[str]:
        """In the order of their answers, once all have come."""
        for thread in self.threads:
            thread.join(PATIENCE_S)
        return [name for name, _ in self.answers]

    def queue(self) -> dict[str, Any]:
        """What the scheduler says."""
        facts: dict[str, Any] = self.client.get("/admin/stack").json()["scheduler"]
        return facts

    def present(self) -> int:
        """Requests that wait or run."""
        facts = self.queue()
        return int(facts["waiting"] + facts["running"])

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Ask again and again."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self.queue()
            time.sleep(0.01)

    def _ask(self, name: str, content: dict[str, Any], headers: dict[str, str]) -> None:
        answer = self.client.post(CHAT, json=content, headers=headers)
        self.answers.append((name, answer.status_code))


@contextmanager
def crowded(folder: Path, settings: dict[str, Any]) -> Iterator[Crowd]:
    """A server with one model, loaded."""
    with served(folder, settings) as server, server.client() as client:
        server.wait_for("model_ready", model="echo")
        crowd = Crowd(server, client)
        yield crowd
        crowd.names()


@pytest.mark.parametrize("headers", [{}, {"X-Priority": "high"}], ids=["plain", "high"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_second_request_is_told_to_come_back_when_nobody_may_wait(
    tmp_path: Path, headers: dict[str, str], *, stream: bool
) -> None:
    with crowded(tmp_path, config(max_queue=0)) as crowd:
        crowd.ask("first", LONG)

        refused = crowd.client.post(CHAT, json=body(1, stream=stream), headers=headers)

    assert crowd.answers == [("first", 200)]
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/json"
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert "plugins.priority.max_queue is 0" in refused.json()["error"]["message"]


def test_a_full_queue_tells_the_position_and_a_time_to_come_back_by_the_measured_rate(tmp_path: Path) -> None:
    with crowded(tmp_path, config(max_queue=2)) as crowd:
        for number in range(8):  # of half a second each
            crowd.ask(f"measured {number}", 10)
            crowd.names()
        for name in ("running", "waiting 1", "waiting 2"):
            crowd.ask(name, LONG)

        refused = crowd.client.post(CHAT, json=body(1))
        mean_s = crowd.queue()["models"]["echo"]["mean_service_s"]

        error = refused.json()["error"]
        assert (refused.status_code, error["code"]) == (429, "rate_limit_exceeded")
        assert "the 2 places of its queue are taken; this request would be number 3 of 3 that wait" in error["message"]
        assert 0.4 < mean_s < 2
        assert 1 <= int(refused.headers["retry-after"]) <= 3 * mean_s + 1
        assert f"try again in {refused.headers['retry-after']} s" in error["message"]


def test_a_model_that_is_busy_keeps_no_other_waiting(tmp_path: Path) -> None:
    settings = config()
    settings["models"]["settings"] = {"echo-process": {"echo": {"tokens_per_second": 1000}}}
    with crowded(tmp_path, settings) as crowd:
        for name in ("running", "waiting"):
            crowd.ask(name, LONG)

        other = crowd.client.post(CHAT, json=body(1, "echo-process"))
        queue = crowd.queue()["models"]["echo"]

        assert other.status_code == 200
        assert (queue["running"], queue["waiting"]) == (1, 1)


def test_fewer_run_at_once_while_memory_is_short(tmp_path: Path) -> None:
    models = {"auto_load": ["lmx-tiny"], "max_concurrent_requests": 8}
    with served(tmp_path, {"models": models}) as server, server.client() as client:
        server.wait_for("model_ready", model="lmx-tiny")
        assert client.post(CHAT, json=body(1, "lmx-tiny")).status_code == 200
        (holding,) = client.get("/admin/memory").json()["holdings"]
        for share, limit in ((0.78, 6), (0.9, 4), (0.98, 1), (0.1, 8)):
            now = models | {"memory_budget_gb": holding["measured_gb"] / share}
            (tmp_path / "config.d" / "50-test.yaml").write_text(json.dumps({"models": now}))
            assert client.post("/admin/config/reload").json()["changed"] == ["models.memory_budget_gb"]

            line = f"lmx_concurrent_limit {limit}.0"
            eventually(partial(shows, client, line), 10)


def shows(client: httpx.Client, line: str) -> bool:
    return line in client.get("/metrics").text.splitlines()


def test_no_more_run_at_once_than_may_and_everybody_is_served(tmp_path: Path) -> None:
    with crowded(tmp_path, config(limit=2)) as crowd:
        for number in range(12):
            crowd.start(str(number), tokens=4)
        most = 0
        while any(thread.is_alive() for thread in crowd.threads):
            most = max(most, crowd.queue()["running"])

    assert [status for _, status in crowd.answers] == [200] * 12
    assert most == 2


def test_a_client_that_goes_away_frees_its_place_in_the_queue_and_in_the_engine(tmp_path: Path) -> None:
    with crowded(tmp_path, config()) as crowd:
        runs, waits = (threading.Thread(target=hang_up, args=(crowd.server, seconds)) for seconds in (4, 1))
        runs.start()
        crowd.wait_for(lambda: crowd.queue()["running"] == 1)
        waits.start()
        crowd.wait_for(lambda: crowd.queue()["waiting"] == 1)

        crowd.wait_for(lambda: crowd.queue()["waiting"] == 0)
        crowd.wait_for(lambda: crowd.queue()["running"] == 0)
        runs.join()
        waits.join()


def hang_up(server: Server, after_s: float) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}{CHAT}", json=body(2000), timeout=httpx.Timeout(30, read=after_s))


def test_the_higher_priority_is_served_first(tmp_path: Path) -> None:
    with crowded(tmp_path, config(ageing_s=60)) as crowd:
        crowd.ask("running", LONG)
        for name in ("low", "normal", "high"):
            crowd.ask(name, x_priority=name)

        assert crowd.names() == ["running", "high", "normal", "low"]


def test_a_key_cannot_ask_for_more_than_its_ceiling(tmp_path: Path) -> None:
    keys = KeyStore(tmp_path / "home" / "keys.yaml")
    (tmp_path / "home").mkdir()
    humble, plain = keys.create("humble", priority="low"), keys.create("plain")

    with crowded(tmp_path, config(ageing_s=60)) as crowd:
        crowd.ask("running", LONG, x_api_key=plain)
        crowd.ask("humble", x_api_key=humble, x_priority="high")
        crowd.ask("plain", x_api_key=plain)
        waiting = crowd.queue()

        assert crowd.names() == ["running", "plain", "humble"]
    assert waiting["models"]["echo"]["classes"] == {"high": 0, "normal": 1, "low": 1}
    assert set(waiting["keys"]) == {"humble", "plain"}


def test_a_bot_that_floods_the_queue_does_not_keep_another_waiting(tmp_path: Path) -> None:
    with crowded(tmp_path, config()) as crowd:
        crowd.ask("running", LONG, x_client_id="flood")
        for number in range(4):
            crowd.ask(f"flood {number}", 4, x_client_id="flood")
        crowd.ask("other", 4, x_client_id="other")
        metrics = crowd.client.get("/metrics").text.splitlines()

        assert crowd.names().index("other") == 2
    assert "lmx_queued_requests 5.0" in metrics
    assert "lmx_concurrent_limit 1.0" in metrics


def test_models_that_do_not_fit_together_are_not_swapped_for_every_request(tmp_path: Path) -> None:
    settings = config(swap_patience_s=20)
    settings["models"] |= {
        "memory_budget_gb": 1.5,
        "settings": {name: {"memory_estimate_gb": 1} for name in ("echo", "echo-process")},
    }
    with crowded(tmp_path, settings) as crowd:
        crowd.ask("a1", LONG)
        crowd.ask("b1", 1, "echo-process")
        crowd.ask("a2", LONG)
        crowd.ask("a3")
        waiting = crowd.queue()

        assert crowd.names() == ["a1", "a2", "a3", "b1"]
    assert waiting["models"]["echo-process"]["waits_for_memory"]
    assert {status for _, status in crowd.answers} == {200}

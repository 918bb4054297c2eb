"""Metrics and events over a real socket."""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving import Server, served

CONFIG: dict[str, Any] = {
    "server": {"sse_heartbeat_interval_sec": 1},
    "models": {"max_concurrent_requests": 1, "warmup_on_load": False},
    "plugins": {"echo": {"enabled": True, "reply": "one two three", "tokens_per_second": 20}},
}
Event = tuple[str, Mapping[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("acceptance-metrics")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with served(folder, CONFIG) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as made:
        yield made


def chat(client: httpx.Client, *, stream: bool = False, headers: Mapping[str, str] | None = None) -> httpx.Response:
    messages = [{"role": "user", "content": "hello"}]
    body = {"model": "echo", "messages": messages, "stream": stream}
    return client.post("/v1/chat/completions", json=body, headers=headers)


def samples(client: httpx.Client) -> list[tuple[str, Mapping[str, str], float]]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]


def value(client: httpx.Client, name: str) -> float:
    """Of a metric without labels."""
    [found] = [amount for sample, _, amount in samples(client) if sample == name]
    return found


def events(response: httpx.Response) -> Iterator[Event]:
    """What a stream of events tells, as it comes."""
    kind = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))


def following(told: Iterator[Event], kind: str) -> Mapping[str, Any]:
    """The next event of that type."""
    return next(data for type_, data in told if type_ == kind)


def test_the_page_has_its_content_type_and_counters_rise(client: httpx.Client) -> None:
    page = client.get("/admin/metrics")
    before = value(client, "lmx_completion_tokens_total")

    chat(client)

    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert value(client, "lmx_completion_tokens_total") == before + 3


def test_a_label_is_escaped_and_read_back_as_it_was_sent(client: httpx.Client) -> None:
    odd = 'a"b\\c {d="e"} 1\\n'

    chat(client, headers={"X-Client-ID": odd})

    assert 'client="a\\"b\\\\c {d=\\"e\\"} 1\\\\n"' in client.get("/metrics").text
    assert [
        amount for name, labels, amount in samples(client) if labels.get("client") == odd and "requests" in name
    ] == [1.0]


def test_histograms_are_cumulative_and_end_in_their_count(client: httpx.Client) -> None:
    chat(client, stream=True)
    buckets: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    counts = {}
    for name, labels, amount in samples(client):
        if name.endswith("_bucket"):
            buckets[name.removesuffix("_bucket"), labels["model"]].append((float(labels["le"]), amount))
        elif name.endswith("_count"):
            counts[name.removesuffix("_count"), labels["model"]] = amount

    assert {name for name, _ in counts} >= {"lmx_request_duration_seconds", "lmx_time_to_first_token_seconds"}
    assert set(buckets) == set(counts)
    for series, found in buckets.items():
        bounds, amounts = zip(*found, strict=True)
        assert list(bounds) == sorted(bounds)
        assert list(amounts) == sorted(amounts)
        assert (bounds[-1], amounts[-1]) == (float("inf"), counts[series])
    assert counts["lmx_time_to_first_token_seconds", "echo"] >= 1


def test_who_waits_is_in_the_gauge_until_served(client: httpx.Client) -> None:
    threads = [threading.Thread(target=chat, args=(client,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    most = 0.0
    while any(thread.is_alive() for thread in threads):
        most = max(most, value(client, "lmx_queued_requests"))

    assert 1 <= most <= 5
    assert value(client, "lmx_queued_requests") == 0


def test_silence_is_filled_with_heartbeats(client: httpx.Client) -> None:
    with client.stream("GET", "/admin/events") as response:
        told = events(response)
        first, second = (following(told, "heartbeat")["timestamp"] for _ in range(2))

    assert response.headers["content-type"] == "text/event-stream"
    assert 0.9 < second - first < 20


def test_every_subscriber_hears_of_loads_unloads_and_reloads(folder: Path, client: httpx.Client) -> None:
    file = folder / "config.d" / "50-test.yaml"
    with client.stream("GET", "/admin/events") as one, client.stream("GET", "/admin/events") as other:
        heard = [events(one), events(other)]
        client.post("/admin/models/load", json={"model_id": "echo-process"})
        client.post("/admin/models/unload", json={"model_id": "echo-process"})
        file.write_text(json.dumps({**CONFIG, "memory": {"max_memory_percent": 70}}))
        client.post("/admin/config/reload")
        loaded = [following(told, "model_loaded") for told in heard]
        unloaded = [following(told, "model_unloaded") for told in heard]
        reloaded = [following(told, "config_reloaded") for told in heard]

    assert loaded[0] == loaded[1]
    assert {"model_id": "echo-process", "format": "echo-process"}.items() <= loaded[0].items()
    assert (unloaded[0], unloaded[0]["model_id"]) == (unloaded[1], "echo-process")
    assert (reloaded[0], reloaded[0]["memory_threshold"]) == (reloaded[1], 70)

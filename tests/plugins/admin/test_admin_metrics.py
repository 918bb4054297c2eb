from typing import Any

import pytest
from attrs import define

from admin_support import StandIns
from http_support import RecordingLog, Served
from lmx.accounting import Accounting, Record
from lmx.metrics import MAX_LABEL_SETS
from lmx_hookspecs import GenerationRequest, Piece, Usage


@define
class Traffic:
    """Requests as the pipeline accounts for them."""

    accounting: Accounting

    def request(self, model: str, client: str | None = None, outcome: str = "ok", **facts: Any) -> None:
        record = Record(GenerationRequest(model=model, client=client, **facts), model)
        self.accounting.arrived(record)
        self.accounting.piece(
            record, Piece(tokens=3, usage=Usage(prompt_tokens=5, completion_tokens=3, cached_tokens=2))
        )
        self.accounting.ended(record, outcome)


@pytest.fixture
def traffic(services: StandIns) -> Traffic:
    return Traffic(Accounting(services.metrics, services.events, RecordingLog()))


async def test_the_summary_adds_up_per_model_and_per_client(server: Served, traffic: Traffic) -> None:
    traffic.request("a", client="bot", stream=True)
    traffic.request("a", outcome="engine_failed")
    traffic.request("b", client="bot", outcome="cancelled")

    answer = (await server.ask("GET", "/admin/metrics/json")).json()

    assert answer == {
        "total_requests": 3,
        "total_errors": 1,
        "total_stream_requests": 1,
        "total_prompt_tokens": 15,
        "total_cached_prompt_tokens": 6,
        "total_completion_tokens": 9,
        "per_model": {
            "a": {"requests": 2, "errors": 1, "completion_tokens": 6},
            "b": {"requests": 1, "errors": 0, "completion_tokens": 3},
        },
        "per_client": {"bot": {"requests": 2, "errors": 0, "completion_tokens": 6}},
        "uptime_seconds": 12.5,
    }


async def test_before_any_traffic_the_summary_is_all_zeros(server: Served) -> None:
    answer = (await server.ask("GET", "/admin/metrics/json")).json()

    assert (answer["total_requests"], answer["per_model"], answer["per_client"]) == (0, {}, {})


async def test_many_clients_are_counted_together(server: Served, traffic: Traffic) -> None:
    for number in range(MAX_LABEL_SETS + 5):
        traffic.request("a", client=f"client-{number}")

    clients = (await server.ask("GET", "/admin/metrics/json")).json()["per_client"]

    assert len(clients) == MAX_LABEL_SETS + 1
    assert clients["other"] == {"requests": 5, "errors": 0, "completion_tokens": 15}


async def test_the_page_is_prometheus_text(server: Served, services: StandIns, traffic: Traffic) -> None:
    services.metrics.readings = lambda: {"lmx_uptime_seconds": 12.5}
    traffic.request("a", client='a"b\\c')

    answer = await server.ask("GET", "/admin/metrics")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert "lmx_uptime_seconds 12.5" in lines
    assert "lmx_requests_total 1.0" in lines
    assert r'lmx_client_requests_total{client="a\"b\\c"} 1.0' in lines

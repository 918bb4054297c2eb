from http_support import FakeServices, serving
from lmx_hookspecs import Health


async def test_healthz_says_that_the_process_answers() -> None:
    async with serving() as server:
        answer = await server.ask("GET", "/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "version": "1.2.3"})


async def test_readyz_counts_the_models_that_are_loaded() -> None:
    async with serving() as server:
        answer = await server.ask("GET", "/readyz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "version": "1.2.3", "models_loaded": 1})


async def test_readyz_gives_the_reason_why_not() -> None:
    services = FakeServices(ready=Health(ok=False, detail="not loaded yet: lmx-tiny"))

    async with serving(services=services) as server:
        answer = await server.ask("GET", "/readyz")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json() == {"status": "unavailable", "reason": "not loaded yet: lmx-tiny"}


async def test_metrics_are_prometheus_text() -> None:
    async with serving() as server:
        answer = await server.ask("GET", "/metrics")

    assert answer.text == "lmx_up 1.0\n"
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_the_root_says_where_to_look() -> None:
    async with serving() as server:
        answer = await server.ask("GET", "/")
        documented = await server.ask("GET", answer.json()["openapi"])

    assert (answer.json()["name"], answer.json()["version"]) == ("LMX", "1.2.3")
    assert documented.status_code == 200

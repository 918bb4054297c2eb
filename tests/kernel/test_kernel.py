import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from lmx.config import read, resolve
from lmx.http import server as http_server
from lmx.http.streaming import OpenRequests
from lmx.kernel import Kernel
from lmx.plugins import PluginEntry, Registry, discover
from lmx_hookspecs import Health, HealthCheck, LmxError, MiddlewareSpec, SchedulerSpec, hookimpl
from lmx_hookspecs.events import STOPPING


def kernel_of(folder: Path, *entries: PluginEntry, **sections: object) -> Kernel:
    """A kernel with just these plugins and this configuration."""
    (folder / "10.yaml").write_text(json.dumps(sections))
    loader = discover((), entries)
    config = resolve(read(folder, {}, {}), loader.config_specs(), frozenset(entry.name for entry in entries))
    return Kernel(config, loader.collect())


@asynccontextmanager
async def listening(kernel: Kernel) -> AsyncIterator[httpx.AsyncClient]:
    """The kernel behind a real socket."""
    listener, shutdown, open_requests = http_server.bind("127.0.0.1", 0), asyncio.Event(), OpenRequests()
    await kernel.start()
    serving = asyncio.create_task(
        http_server.serve(
            kernel.app(open_requests),
            listener,
            server=kernel.config.section("server"),
            open_requests=open_requests,
            shutdown=shutdown,
        )
    )
    try:
        async with httpx.AsyncClient(base_url=http_server.url_of(listener)) as client:
            yield client
    finally:
        shutdown.set()
        await serving
        await kernel.stop()


async def test_the_kernel_boots_without_any_plugin_and_says_so(tmp_path: Path) -> None:
    kernel = kernel_of(tmp_path)

    async with listening(kernel) as client:
        health, ready, models = [await client.get(path) for path in ("/healthz", "/readyz", "/v1/models")]

    assert health.json()["status"] == "ok"
    assert ready.status_code == 503
    assert "no model" in ready.json()["reason"]
    assert models.status_code == 404
    assert kernel.plugins.list() == []


def plugin(monkeypatch: pytest.MonkeyPatch, name: str, **hooks: object) -> PluginEntry:
    """A plugin made on the spot: each hook returns the given specs."""
    module = ModuleType(f"made_up_{name}")
    for hook, specs in hooks.items():

        def offer(specs: object = specs) -> object:
            return specs

        implementation = lambda offer=offer: offer()  # noqa: E731  pluggy wants a function without arguments
        implementation.__name__ = hook
        setattr(module, hook, hookimpl(implementation))
    monkeypatch.setitem(__import__("sys").modules, module.__name__, module)
    return PluginEntry(name=name, module=module.__name__)


async def test_an_unknown_policy_names_those_that_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = SchedulerSpec(name="quiz", open=lambda _ctx: None)  # type: ignore[arg-type,return-value]
    entry = plugin(monkeypatch, "quiz", lmx_schedulers=[scheduler])

    with pytest.raises(LmxError, match="quiz"):
        kernel_of(tmp_path, entry, scheduling={"policy": "fifo"})


async def test_a_failing_critical_check_makes_the_server_unready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(_ctx: object) -> Health:
        return Health(ok=False, detail="disk full")

    entry = plugin(monkeypatch, "checks", lmx_health_checks=[HealthCheck(name="disk", check=check, critical=True)])

    async with listening(kernel_of(tmp_path, entry)) as client:
        ready = await client.get("/readyz")

    assert (ready.status_code, ready.json()["reason"]) == (503, "disk: disk full")


async def test_middlewares_stand_around_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def wrap(_ctx: object) -> object:
        def around(app: object) -> object:
            async def asgi(scope: dict[str, object], receive: object, send: object) -> None:
                seen.append(str(scope["type"]))
                await app(scope, receive, send)  # type: ignore[operator]

            return asgi

        return around

    entry = plugin(monkeypatch, "around", lmx_middlewares=[MiddlewareSpec(name="around", wrap=wrap)])  # type: ignore[arg-type]

    async with listening(kernel_of(tmp_path, entry)) as client:
        await client.get("/healthz")

    assert "http" in seen


def test_a_registry_without_plugins_is_empty() -> None:
    assert Registry([]).specs("lmx_backends") == []


async def test_whoever_works_in_the_background_hears_of_the_end_before_anything_is_closed(tmp_path: Path) -> None:
    kernel = kernel_of(tmp_path)
    heard: list[bool] = []

    async with listening(kernel):
        kernel.events.listen(STOPPING, lambda _: heard.append(kernel.health.stopping))

    assert heard == [True]

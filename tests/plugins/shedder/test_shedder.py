import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import define, field

import lmx_shedder
from http_support import Served, error_of, serving
from kernel_support import until
from lmx_hookspecs import Describable, JsonResponse, MiddlewareSpec, Reconfigurable, Request, Response, Route
from lmx_hookspecs.errors import Unavailable
from lmx_hookspecs.testing import FakeContext, check_plugin
from lmx_shedder.config import ShedderConfig
from lmx_shedder.shedder import Shedder, shedder_of


async def answer(_: Any, __: Request) -> Response:
    return JsonResponse(body={"done": True})


WORK = Route(method="POST", path="/work", handler=answer, summary="work")
ROUTES = [
    WORK,
    Route(method="POST", path="/free", handler=answer, summary="frees memory", shed=False),
    Route(method="GET", path="/admin/look", handler=answer, summary="an operator looks", auth="admin"),
]


@define(eq=False)
class Machine:
    """Memory as a test wants it, and a shedder that reads it."""

    percent: float = 20.0
    context: FakeContext = field(factory=lambda: FakeContext(config=ShedderConfig()))
    shedder: Shedder = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.shedder = shedder_of(self.context, lambda: self.percent)

    @property
    def events(self) -> list[tuple[str, Mapping[str, Any]]]:
        published: list[tuple[str, Mapping[str, Any]]] = self.context.services.events.published
        return published

    async def reads(self, percent: float) -> None:
        """The next reading has come."""
        self.percent = percent
        self.shedder._watch._begin_reading(asyncio.get_running_loop())
        await until(lambda: self.shedder.overload.memory_percent == percent)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Served]:
        spec = MiddlewareSpec(name="shedder", wrap=lambda _: self.shedder)
        async with serving(*ROUTES, middlewares=[spec]) as server:
            yield server


def test_the_plugin_keeps_the_contract() -> None:
    check_plugin(lmx_shedder)


async def test_without_pressure_everybody_gets_through() -> None:
    machine = Machine()

    async with machine.serving() as server:
        done = await server.ask("POST", "/work")

    assert done.status_code == 200
    assert (machine.shedder.alert, machine.events) == (False, [])


async def test_under_pressure_work_is_refused_and_nothing_else() -> None:
    machine = Machine(percent=97.0)

    async with machine.serving() as server:
        work = await server.ask("POST", "/work")
        others = [
            await server.ask(method, path)
            for method, path in [
                ("POST", "/free"),
                ("GET", "/admin/look"),
                ("GET", "/healthz"),
                ("GET", "/readyz"),
                ("GET", "/metrics"),
                ("OPTIONS", "/work"),
            ]
        ]
        nowhere = await server.ask("GET", "/nowhere")

    assert (work.status_code, error_of(work)["code"], work.headers["retry-after"]) == (503, "overloaded", "30")
    assert "97 % in use" in error_of(work)["message"]
    assert {other.status_code for other in others} <= {200, 204}
    assert nowhere.status_code == 404
    metrics = machine.context.services.metrics.instruments
    assert metrics["lmx_shed_requests"].values == {(("reason", "memory"),): [1]}
    assert metrics["lmx_memory_pressure"].values[()][0] == 0.97


async def test_begin_and_end_are_told_with_their_numbers() -> None:
    machine = Machine(percent=97.0)

    async with machine.serving() as server:
        await server.ask("POST", "/work")
        await machine.reads(92.0)
        between = await server.ask("POST", "/work")
        await machine.reads(60.0)
        after = await server.ask("POST", "/work")

    assert (between.status_code, after.status_code) == (503, 200)
    (begun, began), (ended, end) = machine.events
    assert (begun, began["reason"], began["memory_percent"]) == ("shedding_started", "memory", 97.0)
    assert (ended, end["reason"], end["memory_percent"], end["refused"]) == ("shedding_ended", "memory", 60.0, 2)
    assert [event for _, event, _ in machine.context.log.lines] == ["shedding_started", "shedding_ended"]


async def test_a_loop_that_is_behind_refuses_work_for_a_shorter_time() -> None:
    machine = Machine()

    async with machine.serving() as server:
        await server.ask("POST", "/work")
        for _ in range(2):
            machine.shedder._see_lag(5.0)
        refused = await server.ask("POST", "/work")

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert "behind with its work" in error_of(refused)["message"]


async def test_a_reading_of_yesterday_refuses_nobody() -> None:
    machine = Machine(percent=97.0)

    async with machine.serving() as server:
        before = await server.ask("POST", "/work")
        machine.shedder._watch.awake = False  # as after a pause without requests
        machine.percent = 20.0
        after = await server.ask("POST", "/work")

    assert (before.status_code, after.status_code) == (503, 200)


async def test_a_server_that_fell_asleep_in_calm_looks_before_it_takes_work() -> None:
    machine = Machine()

    async with machine.serving() as server:
        await server.ask("POST", "/work")
        machine.shedder._watch.awake = False
        machine.shedder._judge()  # as the watch does when it falls asleep
        machine.percent = 97.0
        refused = await server.ask("POST", "/work")

    assert refused.status_code == 503


async def test_a_websocket_to_a_route_that_may_be_refused_is_refused() -> None:
    machine = Machine(percent=97.0)
    refused = machine.shedder(lambda *_: pytest.fail("the application was called"))
    scope = {"type": "websocket", "state": {"arrival": Sheddable()}}

    with pytest.raises(Unavailable) as refusal:
        await refused(scope, None, None)

    assert refusal.value.code == "overloaded"


async def test_what_is_no_request_passes_whatever_the_pressure() -> None:
    machine = Machine(percent=97.0)
    passed = []

    async def app(scope: Mapping[str, Any], *_: Callable[..., Any]) -> None:
        passed.append(scope["type"])

    await machine.shedder(app)({"type": "lifespan"}, None, None)

    assert passed == ["lifespan"]


async def test_new_bounds_end_the_refusals_at_once_and_a_description_shows_them() -> None:
    machine = Machine(percent=97.0)

    async with machine.serving() as server:
        await server.ask("POST", "/work")
        during = machine.shedder.describe()
        machine.shedder.reconfigure(ShedderConfig(shed_above_percent=99, resume_below_percent=98))
        taken = await server.ask("POST", "/work")

    assert (during["shedding"], during["refused"], during["watching"]) == ("memory", 1, True)
    assert taken.status_code == 200
    assert machine.shedder.describe()["shed_above_percent"] == 99
    assert isinstance(machine.shedder, Reconfigurable)
    assert isinstance(machine.shedder, Describable)


@define
class Sheddable:
    """An arrival that may be refused."""

    sheddable: bool = True

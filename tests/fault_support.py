"""Clients that record how their requests ended, and a look at what the server holds meanwhile."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
from attrs import define, field, frozen

from fault_endings import DONE, MalformedError, outcome_of
from serving import Server, served
from worker_processes import is_worker

CHAT = "/v1/chat/completions"
PATIENCE_S = 60.0
"""A request without an ending by then has none."""
SETTLE_S = 20.0
SPARE_DESCRIPTORS = 4
SPARE_TASKS = 4
"""For connections that are just being closed."""
ALLOWED_GROWTH_BYTES = 64_000_000
GAUGE = re.compile(r"^(lmx_in_flight_requests|lmx_queued_requests|lmx_asyncio_tasks) (\S+)$", re.MULTILINE)
Body = Mapping[str, Any]
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@frozen
class Ending:
    """How a request ended, and after how long."""

    outcome: str
    took_s: float


@define
class Endings:
    """Of all requests of a test."""

    endings: list[Ending] = field(factory=list)

    @property
    def outcomes(self) -> set[str]:
        """The different ones."""
        return {ending.outcome for ending in self.endings}

    def count(self, outcome: str = DONE) -> int:
        """How many ended so."""
        return sum(ending.outcome == outcome for ending in self.endings)

    def show(self, title: str, *facts: str) -> None:
        """A table for `pytest -s`."""
        print(f"\n{title}")  # noqa: T201  the table is what the test is run for
        print(f"  {'outcome':<34}{'count':>7}{'p50 s':>9}{'p99 s':>9}")  # noqa: T201
        for outcome in sorted(self.outcomes):
            times = sorted(ending.took_s for ending in self.endings if ending.outcome == outcome)
            p50_s, p99_s = (times[int(len(times) * share)] for share in (0.5, 0.99))
            print(f"  {outcome:<34}{len(times):>7}{p50_s:>9.3f}{p99_s:>9.3f}")  # noqa: T201
        for fact in facts:
            print(f"  {fact}")  # noqa: T201


@define(eq=False)
class Target:
    """A running server from outside: how it is asked, and what it holds."""

    server: Server
    kernel: psutil.Process = field(init=False)
    descriptors: int = field(default=0, init=False)
    """Open before the faults."""
    resident_bytes: int = field(default=0, init=False)
    """Before the faults, too."""
    tasks: int = field(default=0, init=False)
    """Of its loop, before the faults."""
    tasks_after: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.kernel = psutil.Process(self.server.process.pid)

    async def mark(self) -> None:
        """What it holds now is where it has to come back to."""
        self.tasks = (await self.gauges())["lmx_asyncio_tasks"]
        self.descriptors, self.resident_bytes = self.kernel.num_fds(), self.rss_bytes()

    def rss_bytes(self) -> int:
        """Of the kernel process alone."""
        size_bytes: int = self.kernel.memory_info().rss
        return size_bytes

    def workers(self) -> list[psutil.Process]:
        """Its worker processes."""
        return [child for child in self.kernel.children() if is_worker(child)]

    async def connect(self) -> Connection:
        """A connection of its own."""
        parts = urlsplit(self.server.url)
        return await asyncio.open_connection(parts.hostname, parts.port)

    async def ask(self, body: Body, connection: Connection | None = None) -> Ending:
        """One request over a connection of its own, and how it ended."""
        began_s = monotonic()
        try:
            async with asyncio.timeout(PATIENCE_S):
                outcome = await answered(connection or await self.connect(), request_bytes(body))
        except TimeoutError:
            outcome = "no ending"
        except OSError as error:
            outcome = f"broken: {type(error).__name__}"
        return Ending(outcome, monotonic() - began_s)

    async def answers(self, model: str) -> bool:
        """Whether the model does its work."""
        return (await self.ask(chat(model, stream=True, max_tokens=5))).outcome == DONE

    async def is_ready(self, model: str) -> bool:
        """Whether its worker is there."""
        return bool((await self.get("/admin/stack"))["models"][model]["state"] == "ready")

    async def is_degraded(self) -> bool:
        """Whether the server says that something is wrong."""
        return bool((await self.get("/admin/health"))["status"] == "degraded")

    async def is_busy(self) -> bool:
        """Whether any request runs or waits."""
        gauges = await self.gauges()
        return (gauges["lmx_in_flight_requests"], gauges["lmx_queued_requests"]) != (0, 0)

    async def is_idle(self) -> bool:
        """Whether none does."""
        return not await self.is_busy()

    async def get(self, path: str) -> Any:
        """The JSON, or the text, at a path; whatever the status."""
        async with httpx.AsyncClient(base_url=self.server.url, timeout=30) as client:
            answer = await client.get(path)
        is_json = answer.headers["content-type"].startswith("application/json")
        return answer.json() if is_json else answer.text

    async def gauges(self) -> dict[str, int]:
        """Requests that run, requests that wait, and tasks of the loop, as `/metrics` says."""
        return {name: int(float(value)) for name, value in GAUGE.findall(await self.get("/metrics"))}

    async def settle(self, *, workers: int, growth_bytes: int = ALLOWED_GROWTH_BYTES) -> None:
        """Wait until nothing is left of the faults: no request, descriptor or task, no worker too many or too few."""
        facts: dict[str, Any] = {}

        async def settled() -> bool:
            gauges = await self.gauges()
            facts.update(gauges, workers=len(self.workers()), fds=self.kernel.num_fds())
            few_fds = facts["fds"] <= self.descriptors + SPARE_DESCRIPTORS
            few_tasks = gauges["lmx_asyncio_tasks"] <= self.tasks + SPARE_TASKS
            idle = gauges["lmx_in_flight_requests"] == gauges["lmx_queued_requests"] == 0
            return idle and facts["workers"] == workers and few_fds and few_tasks

        at_first = f"at first {self.descriptors} descriptors and {self.tasks} tasks"
        assert await comes_true(settled), f"left over: {facts}, {at_first}"
        self.tasks_after = facts["lmx_asyncio_tasks"]
        grown_bytes = self.rss_bytes() - self.resident_bytes
        assert grown_bytes < growth_bytes, f"{grown_bytes / 1e6:.0f} MB more resident"
        assert self.server.process.poll() is None

    def holds(self) -> str:
        """For the table."""
        grown_mb = (self.rss_bytes() - self.resident_bytes) / 1e6
        counts = f"descriptors {self.descriptors} -> {self.kernel.num_fds()}, tasks {self.tasks} -> {self.tasks_after}"
        return f"{counts}, resident {grown_mb:+.1f} MB"


@asynccontextmanager
async def under_fire(folder: Path, config: Mapping[str, Any], *ready: str) -> AsyncIterator[Target]:
    """A server with these models loaded; the loop turns while it starts and ends, for fake nodes live on it."""
    with ExitStack() as stack:
        server = await asyncio.to_thread(stack.enter_context, served(folder, config))
        try:
            for model in ready:
                await asyncio.to_thread(server.wait_for, "model_ready", model=model)
            yield Target(server)
        finally:
            await asyncio.to_thread(stack.close)


def chat(model: str, *, stream: bool, text: str = "Count from 1 to 100.", **fields: Any) -> Body:
    """A body for `/v1/chat/completions`."""
    messages = [{"role": "user", "content": text}]
    return {"model": model, "messages": messages, "temperature": 0, "stream": stream, **fields}


def request_bytes(body: Body, headers: Mapping[str, str] | None = None) -> bytes:
    """The whole request; the server closes the connection behind its answer."""
    raw = json.dumps(body).encode()
    fields = {
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        "Content-Length": str(len(raw)),
        "Connection": "close",
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {CHAT} HTTP/1.1\r\n{head}\r\n".encode() + raw


async def answered(connection: Connection, request: bytes) -> str:
    """Send the request, read to the end of the connection, and close it: the outcome."""
    reader, writer = connection
    try:
        writer.write(request)
        return outcome_of(await reader.read())
    except MalformedError as error:
        return f"malformed: {error}"
    finally:
        await closed(writer)


async def closed(writer: asyncio.StreamWriter) -> None:
    """Close our end, whatever the other one has done."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def comes_true(condition: Callable[[], Any], limit_s: float = SETTLE_S) -> bool:
    """Whether an awaitable condition holds within the limit; it is asked again and again."""
    end_s = monotonic() + limit_s
    while not await condition():
        if monotonic() > end_s:
            return False
        await asyncio.sleep(0.1)
    return True


async def crowd(
    target: Target,
    bodies: Sequence[Callable[[int], Body]],
    seconds: float,
    *,
    meanwhile: Iterable[Callable[[], Any]] = (),
) -> Endings:
    """Each client asks again and again for so long; so long, too, go the endless functions of `meanwhile`."""
    endings = Endings()
    end_s = monotonic() + seconds

    async def client(body: Callable[[int], Body]) -> None:
        for number in count():
            if monotonic() > end_s:
                return
            ending = await target.ask(body(number))
            endings.endings.append(ending)
            if ending.outcome != DONE:
                await asyncio.sleep(0.1)  # even an impatient client does not come back at once

    clients = [asyncio.create_task(client(body)) for body in bodies]
    try:
        async with asyncio.timeout(seconds):
            await asyncio.gather(*(make() for make in meanwhile))
    except TimeoutError:
        pass  # what is still on its way gets its end in peace
    await asyncio.gather(*clients)
    return endings

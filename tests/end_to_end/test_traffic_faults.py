"""Traffic under faults, on real processes: `pytest -m slow -s`; LMX_FAULT_SECONDS says for how long. Prints tables."""

import asyncio
import os
import random
import shutil
import signal
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic

import httpx
import pytest

from fault_endings import DONE
from fault_nodes import MODEL, Manner, faulty_node
from fault_support import Body, Connection, Endings, Target, chat, closed, comes_true, crowd, request_bytes, under_fire

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FAULT_S = float(os.environ.get("LMX_FAULT_SECONDS", "60"))
TINY = Path(__file__).parents[2] / "plugins/tiny/lmx_tiny/models/lmx-tiny"
CLIENTS = 32
REFUSED = {"429 rate_limit_exceeded", "503 overloaded"}
AWAY = {"502 engine_failed", "503 circuit_open", "503 model_loading", "stream engine_failed"}
"""How a request may end whose worker died."""
NODE_FAILED = {"502 node_failed", "503 circuit_open", "stream node_failed"}
SOON_AGAIN = {"restart_pause_s": 0.05, "max_restart_pause_s": 0.2, "quarantine_after": 10_000}
QUICK_BREAKER = {"breaker": {"reset_after_s": 0.5}}
BEAT_S, SLACK_S = 0.5, 3.0
"""A worker is silent after three beats; the slack is for a machine that has other things to do."""


def mixed(model: str, *, tokens: int, clients: int = CLIENTS) -> list[Callable[[int], Body]]:
    """Clients of whom every second one streams."""
    return [partial(body_of, model, stream=bool(number % 2), max_tokens=tokens) for number in range(clients)]


def body_of(model: str, _number: int, *, stream: bool, max_tokens: int) -> Body:
    return chat(model, stream=stream, max_tokens=max_tokens)


async def kill_workers(target: Target, killed: list[int]) -> None:
    moments = random.Random(0)
    while True:
        if moments.random() < 0.7:  # else it may still be loading its model
            await comes_true(partial(target.is_ready, "lmx-tiny"))
        await asyncio.sleep(moments.uniform(0.5, 3))
        for worker in target.workers():
            worker.kill()
            killed.append(worker.pid)


async def leave_early(target: Target) -> None:
    moments = random.Random(0)
    while True:
        _, writer = await target.connect()
        try:
            writer.write(request_bytes(chat("lmx-tiny", stream=moments.random() < 0.5, max_tokens=200)))
            await asyncio.sleep(moments.uniform(0, 0.5))
        finally:
            await closed(writer)


async def test_engines_killed_at_random_under_32_clients(tmp_path: Path) -> None:
    config = {"models": {"auto_load": ["lmx-tiny"]}, "workers": SOON_AGAIN, "plugins": QUICK_BREAKER}
    killed: list[int] = []
    async with under_fire(tmp_path, config, "lmx-tiny") as target:
        await target.answers("lmx-tiny")
        await target.mark()
        faults = [partial(kill_workers, target, killed), partial(leave_early, target)]

        endings = await crowd(target, mixed("lmx-tiny", tokens=25), FAULT_S, meanwhile=faults)
        recovered = await comes_true(partial(target.answers, "lmx-tiny"))
        await target.settle(workers=1)
        endings.show(f"engines killed at random for {FAULT_S:g} s", f"{len(killed)} killed", target.holds())

    assert endings.outcomes <= {DONE} | AWAY | REFUSED
    assert endings.count() > 0
    assert len(killed) > 1
    assert recovered


async def test_a_frozen_worker_is_seen_and_replaced_and_its_requests_end(tmp_path: Path) -> None:
    beats = {**SOON_AGAIN, "heartbeat_interval_s": BEAT_S}
    config = {"models": {"auto_load": ["lmx-tiny"]}, "workers": beats, "plugins": QUICK_BREAKER}
    async with under_fire(tmp_path, config, "lmx-tiny") as target:
        await target.answers("lmx-tiny")
        await target.mark()
        (worker,) = target.workers()
        asked = [asyncio.create_task(target.ask(body(0))) for body in mixed("lmx-tiny", tokens=25)]
        await comes_true(target.is_busy)
        await asyncio.sleep(0.1)  # some of the streams have begun, others have not
        worker.send_signal(signal.SIGSTOP)
        frozen_s = monotonic()

        seen = await comes_true(target.is_degraded, limit_s=3 * BEAT_S + SLACK_S)
        seen_s = monotonic() - frozen_s
        replaced = await comes_true(partial(is_replaced, target, worker.pid))
        replaced_s = monotonic() - frozen_s
        endings = Endings(list(await asyncio.gather(*asked)))
        recovered = await comes_true(partial(target.answers, "lmx-tiny"))
        well_again = not await target.is_degraded()
        await target.settle(workers=1)
        took = f"degraded after {seen_s:.1f} s, replaced after {replaced_s:.1f} s, with a beat every {BEAT_S} s"
        endings.show("a worker frozen under 32 clients", took, target.holds())

    assert endings.outcomes <= {DONE} | AWAY | REFUSED
    assert seen
    assert replaced
    assert recovered
    assert well_again


async def is_replaced(target: Target, pid: int) -> bool:
    return pid not in {worker.pid for worker in target.workers()} and await target.is_ready("lmx-tiny")


@pytest.mark.parametrize("manner", ["silent", "stalling", "resetting"])
async def test_a_node_that_breaks_its_word_costs_nobody_an_ending(tmp_path: Path, manner: Manner) -> None:
    async with faulty_node(manner) as node:
        box = {"url": node.url, "models": [MODEL], "timeout_s": 1.0}
        config = {
            "models": {"auto_load": ["echo"], "settings": {f"stand-in/{MODEL}": {"fallback": ["echo"]}}},
            "plugins": {"echo": {"enabled": True}, **QUICK_BREAKER},
            "backends": {"stand-in": box, "alone": box},
        }
        async with under_fire(tmp_path, config, "echo") as target:
            await target.answers("echo")
            await target.mark()

            with_fallback, without = await asyncio.gather(
                *(
                    crowd(target, mixed(f"{name}/{MODEL}", tokens=40, clients=CLIENTS // 2), min(FAULT_S, 10) / 2)
                    for name in ("stand-in", "alone")
                )
            )
            await target.settle(workers=0)
            with_fallback.show(f"a {manner} node with a fallback")
            without.show(f"a {manner} node without one", f"{node.calls} calls reached the node", target.holds())

    assert with_fallback.outcomes <= {DONE, "stream node_failed"} | REFUSED
    assert with_fallback.count() > 0
    assert without.outcomes <= NODE_FAILED | REFUSED
    assert node.calls > 0


@pytest.mark.parametrize("end", ["time_limit", "disconnect"])
async def test_clients_that_never_read_hold_neither_memory_nor_places(tmp_path: Path, end: str) -> None:
    eight_mb = {"reply": ("w" * 2000 + " ") * 4000, "context_length": 100_000}
    config = {
        "plugins": {"echo": {"enabled": True, **eight_mb}},
        "models": {"auto_load": ["echo-process", "lmx-tiny"]},
    }
    async with under_fire(tmp_path, config, "echo-process", "lmx-tiny") as target:
        await target.answers("lmx-tiny")
        await target.mark()
        limit = {"X-Timeout": "8"} if end == "time_limit" else {}
        stuck = [await stuck_reader(target, chat("echo-process", stream=True), limit) for _ in range(CLIENTS)]
        taken = await comes_true(target.is_busy)
        flooded = await comes_true(partial(has_said_all, target, "echo-process"))

        others = await crowd(target, mixed("lmx-tiny", tokens=20, clients=4), 3)
        if end == "disconnect":
            await asyncio.gather(*(closed(writer) for _, writer in stuck))
        freed = await comes_true(target.is_idle)
        held_mb = (target.rss_bytes() - target.resident_bytes) / 1e6
        await asyncio.gather(*(closed(writer) for _, writer in stuck))
        await target.settle(workers=2, growth_bytes=MOST_HELD_MB * 1_000_000)
        held = f"{held_mb:.0f} MB held for answers of {CLIENTS * 8} MB"
        others.show(f"others, while {CLIENTS} clients do not read; then: {end}", held, target.holds())

    assert taken
    assert flooded
    assert freed
    assert others.outcomes == {DONE}
    assert held_mb < MOST_HELD_MB


MOST_HELD_MB = 128
"""Of the 256 MB that the clients have asked for."""


async def has_said_all(target: Target, model: str) -> bool:
    """Whether its worker has nothing left to say: the rest is up to those who do not read."""
    return bool((await target.get("/admin/stack"))["models"][model]["running"] == 0)


async def stuck_reader(target: Target, body: Body, headers: dict[str, str]) -> Connection:
    """A client that asks, and never reads: its receive buffer is as small as it can be."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", int(target.server.url.rsplit(":", 1)[1])))
    reader, writer = await asyncio.open_connection(sock=client, limit=1024)
    writer.write(request_bytes(body, headers))
    return reader, writer


async def test_a_thousand_connections_at_once_are_answered_or_refused(tmp_path: Path) -> None:
    config = {"plugins": {"echo": {"enabled": True, "delay_ms": 300}}, "models": {"auto_load": ["echo"]}}
    async with under_fire(tmp_path, config, "echo") as target:
        await target.answers("echo")
        await target.mark()
        connections = [await target.connect() for _ in range(1000)]

        asked = (
            target.ask(chat("echo", stream=bool(number % 2)), connection)
            for number, connection in enumerate(connections)
        )
        alive, *ended = await asyncio.gather(target.get("/healthz"), *asked)
        recovered = await comes_true(partial(target.answers, "echo"))  # work may be shed until the loop has caught up
        await target.settle(workers=0)
        endings = Endings(ended)
        endings.show("1,000 connections at once", target.holds())

    assert alive["status"] == "ok"
    assert endings.outcomes <= {DONE} | REFUSED
    assert endings.count() > 0
    assert recovered


async def test_a_signal_to_stop_under_32_clients_gives_each_its_ending(tmp_path: Path) -> None:
    config = {"models": {"auto_load": ["lmx-tiny"], "max_concurrent_requests": 4}, "server": {"shutdown_grace_s": 10}}
    async with under_fire(tmp_path, config, "lmx-tiny") as target:
        await target.answers("lmx-tiny")
        asked = [asyncio.create_task(target.ask(body(0))) for body in mixed("lmx-tiny", tokens=200)]
        await comes_true(target.is_busy)
        await asyncio.sleep(0.5)  # some run, others wait
        target.server.process.send_signal(signal.SIGTERM)
        signalled_s = monotonic()

        endings = Endings(list(await asyncio.gather(*asked)))
        status = await asyncio.to_thread(target.server.process.wait, 15)
        endings.show(
            "a signal to stop under 32 clients", f"exit status {status} after {monotonic() - signalled_s:.1f} s"
        )

    assert endings.outcomes <= {DONE, "503 overloaded", "stream overloaded"}
    assert endings.count() > 0
    assert status == 0


async def test_models_that_race_for_memory_never_exceed_the_budget(tmp_path: Path) -> None:
    names = ["first", "second", "third"]
    for name in names:
        shutil.copytree(TINY, tmp_path / "models" / name)
    models = {"directories": [str(tmp_path / "models")], "memory_budget_gb": BUDGET_GB}
    held_gb: list[float] = []
    async with under_fire(tmp_path, {"models": models, "plugins": QUICK_BREAKER}) as target:
        await target.get("/metrics")
        await target.mark()
        choose = random.Random(0)

        bodies = [lambda number: chat(choose.choice(names), stream=bool(number % 2), max_tokens=20)] * 12
        endings = await crowd(target, bodies, FAULT_S, meanwhile=[partial(watch_memory, target, held_gb)])
        await unload(target, names)
        await target.settle(workers=0)
        most = f"{len(held_gb)} samples, at most {max(held_gb):.3f} of {BUDGET_GB:.3f} GB held"
        endings.show("three models where two fit", most, target.holds())

    assert endings.outcomes <= {DONE, "507 insufficient_memory", "503 model_loading", "503 model_draining"} | REFUSED
    assert endings.count() > 0
    assert max(held_gb) <= BUDGET_GB


BUDGET_GB = 0.39
"""Room for two copies of lmx-tiny, each of which reserves 0.185 GB."""


async def watch_memory(target: Target, held_gb: list[float]) -> None:
    while True:
        held_gb.append((await target.get("/admin/memory"))["held_gb"])
        await asyncio.sleep(0.1)


async def unload(target: Target, names: list[str]) -> None:
    async with httpx.AsyncClient(base_url=target.server.url, timeout=30) as client:
        for name in names:
            await client.post("/admin/models/unload", json={"model_id": name})

"""What is left after `kill -9` in the middle of a change, and after many changes: `pytest -m slow`."""

import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from attrs import define, field

from fake_hub import FakeHub, fake_hub
from serving import Server, eventually, served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

KILLS = int(os.environ.get("LMX_SLOW_COUNT", "50"))
CYCLES = 4 * KILLS
SETTLED_AFTER = min(20, CYCLES // 2)
ALLOWED_BYTES = min(10_000_000, 500_000 * (CYCLES - SETTLED_AFTER))
"""Below a megabyte for each cycle that counts, however few they are."""
TINY = Path(__file__).parents[2] / "plugins/tiny/lmx_tiny/models/lmx-tiny"
REPOSITORY = "org/tiny"
WEIGHTS = "model.safetensors"
MIDDLE = 2_000_000
STEADY = "echo-process"
CONFIG: dict[str, Any] = {
    "plugins": {"echo": {"enabled": True}},
    "routing": {"aliases": {"steady": [STEADY]}},
    "models": {"warmup_on_load": False},
}
TURNS: Mapping[int, Mapping[str, Any]] = {
    percent: {"routing": {"aliases": {"turn": [model]}}, "memory": {"max_memory_percent": percent}}
    for percent, model in ((70, "echo"), (80, "echo-tokens"))
}
"""Two configurations that differ in two sections: half of one with half of the other shows."""
ALIVE = frozenset({"ready", "loading"})
ACTIONS = ("download", "load", "reload", "ask")
"""`ask` is a download that may be killed before it has begun."""


@define
class Deed:
    """What a server is about when it dies."""

    acknowledged: bool = False
    torn: list[Any] = field(factory=list)
    """Configurations that were not what the reload before had said."""


def load(client: httpx.Client, _folder: Path, deed: Deed) -> None:
    deed.acknowledged = client.post("/admin/models/load", json={"model_id": "lmx-tiny"}).status_code == 200


def download(client: httpx.Client, _folder: Path, deed: Deed) -> None:
    deed.acknowledged = client.post("/admin/models/download", json={"repo_id": REPOSITORY}).status_code == 200


def reload_again_and_again(client: httpx.Client, folder: Path, deed: Deed) -> None:
    for percent in cycle(TURNS):
        write_turn(folder, percent)
        deed.acknowledged = client.post("/admin/config/reload").status_code == 200
        in_force = client.get("/admin/config").json()["config"]
        if not deed.acknowledged or turn_of(in_force) != turn_of(TURNS[percent]):
            deed.torn.append(in_force)


def write_turn(folder: Path, percent: int) -> None:
    """All of it or nothing, as editors write: a reader never sees half a file."""
    new = folder / "turn.new"
    new.write_text(json.dumps(TURNS[percent]))
    new.replace(folder / "config.d" / "60-turn.yaml")


def turn_of(config: Mapping[str, Any]) -> tuple[int, list[str]]:
    return config["memory"]["max_memory_percent"], config["routing"]["aliases"]["turn"]


DEEDS: Mapping[str, Callable[[httpx.Client, Path, Deed], None]] = {
    "download": download,
    "load": load,
    "reload": reload_again_and_again,
    "ask": download,
}


def act(server: Server, folder: Path, action: str, deed: Deed) -> threading.Thread:
    """The action on its way: its server dies under it."""

    def run() -> None:
        with suppress(httpx.HTTPError), server.client() as client:
            DEEDS[action](client, folder, deed)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


wait_until = partial(eventually, timeout_s=60.0)


def models(client: httpx.Client) -> dict[str, dict[str, Any]]:
    return {model["id"]: model for model in client.get("/admin/models").json()["models"]}


def arrived_bytes(client: httpx.Client) -> int:
    downloads = client.get("/admin/models/downloads").json()["downloads"]
    return sum(download["downloaded_bytes"] for download in downloads)


def hold_again(hub: FakeHub) -> None:
    """No transfer comes further than to its middle."""
    hub.held.clear()
    hub.released.clear()
    hub.hold_after(WEIGHTS, MIDDLE)


def kill_in_the_middle(folder: Path, hub: FakeHub, action: str, after_s: float) -> Deed:
    """A server with one model loaded, killed while it does something; what it had acknowledged by then."""
    deed = Deed()
    hold_again(hub)
    with served(folder, CONFIG, environment={"HF_ENDPOINT": hub.url}) as server, server.client() as client:
        assert client.post("/admin/models/load", json={"model_id": STEADY}).status_code == 200
        kernel = psutil.Process(server.process.pid)
        acting = act(server, folder, action, deed)
        if action == "download":
            wait_until(lambda: arrived_bytes(client) >= MIDDLE)
        time.sleep(after_s)
        children = kernel.children(recursive=True)
        kernel.kill()
        server.process.wait(10)
        acting.join(60)
        _, alive = psutil.wait_procs(children, timeout=15)
    hub.release()
    assert alive == []
    assert deed.torn == []
    return deed


def check_what_is_left(folder: Path, hub: FakeHub, action: str, deed: Deed) -> None:
    """The next start finds what was acknowledged, nothing half done, and every part at work."""
    json.loads((folder / "home" / "state.json").read_text())
    hub.requests.clear()
    with served(folder, CONFIG, environment={"HF_ENDPOINT": hub.url}) as server, server.client() as client:
        wait_until(lambda: models(client)[STEADY]["state"] == "ready")
        if action in {"download", "ask"}:
            check_download(server, client, deed)
        if action == "download":
            assert [asked.start for asked in hub.asked_for(WEIGHTS)] == [MIDDLE]
        if action == "load" and deed.acknowledged:
            wait_until(lambda: models(client)["lmx-tiny"]["state"] == "ready")
        if (folder / "config.d" / "60-turn.yaml").exists():
            check_turn(folder, client)
        check_parts(client)
        assert server.stop() == 0
    assert not list((folder / "home").glob("*.corrupt*"))


def check_download(server: Server, client: httpx.Client, deed: Deed) -> None:
    """What was acknowledged goes on by itself; anything else may be asked for again."""
    if not deed.acknowledged:
        assert client.post("/admin/models/download", json={"repo_id": REPOSITORY}).status_code == 200
    server.wait_for("download_completed", repository=REPOSITORY)
    wait_until(lambda: models(client).get(REPOSITORY, {}).get("state") == "on_disk")
    assert client.delete(f"/admin/models/{REPOSITORY}").json()["freed_bytes"] > 0


def check_turn(folder: Path, client: httpx.Client) -> None:
    """The parts work by the configuration that was written last, by all of it."""
    written = json.loads((folder / "config.d" / "60-turn.yaml").read_text())
    percent = client.get("/admin/memory").json()["threshold_percent"]
    aliased = client.get("/admin/stack").json()["roles"]["turn"]["preferences"]
    assert (percent, aliased) == turn_of(written) == turn_of(TURNS[percent])


def check_parts(client: httpx.Client) -> None:
    states = {model["state"] for model in models(client).values()}
    assert states <= {"on_disk", "no_engine", *ALIVE}
    assert client.get("/v1/models/steady").status_code == 200
    said = client.post("/v1/chat/completions", json={"model": "steady", "messages": [hello()]})
    assert said.status_code == 200


def hello() -> dict[str, str]:
    return {"role": "user", "content": "hello"}


def rounds(chance: random.Random) -> Iterator[tuple[str, float]]:
    """Each action in turn, and when its server dies."""
    for _, action in zip(range(KILLS), cycle(ACTIONS), strict=False):
        yield action, chance.uniform(0, 1.5)


def test_a_server_killed_while_it_loads_downloads_or_reloads_comes_back_as_it_was(tmp_path: Path) -> None:
    files = {file.name: file.read_bytes() for file in TINY.iterdir() if file.is_file()}

    with fake_hub({REPOSITORY: files}) as hub:
        for action, after_s in rounds(random.Random(0)):
            deed = kill_in_the_middle(tmp_path, hub, action, after_s)
            check_what_is_left(tmp_path, hub, action, deed)


def test_loading_and_unloading_again_and_again_leaves_the_kernels_memory_where_it_was(tmp_path: Path) -> None:
    with served(tmp_path) as server, server.client() as client:
        kernel = psutil.Process(server.process.pid)
        for number in range(1, CYCLES + 1):
            assert client.post("/admin/models/load", json={"model_id": "lmx-tiny"}).status_code == 200
            assert client.post("/admin/models/unload", json={"model_id": "lmx-tiny"}).status_code == 200
            if number == SETTLED_AFTER:
                settled_bytes = kernel.memory_info().rss
        grown_bytes = kernel.memory_info().rss - settled_bytes

    assert grown_bytes <= ALLOWED_BYTES

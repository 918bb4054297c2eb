import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from downloads_support import ScriptedDownloader
from lmx.downloads.look_ups import AT_ONCE, MOST_WAITING, LookUps
from lmx_hookspecs import DownloadRequest, RemoteModel
from lmx_hookspecs.errors import Busy, Unavailable
from lmx_hub.config import HubConfig
from lmx_hub.downloader import HubDownloader


class HangingHub(ScriptedDownloader):
    """A hub that accepts and does not answer until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def look_up(self, request: DownloadRequest) -> RemoteModel:
        self.let_go.wait(30)
        return super().look_up(request)


@pytest.fixture
def hub() -> Iterator[HangingHub]:
    made = HangingHub()
    yield made
    made.let_go.set()


def asked(number: int = 0) -> DownloadRequest:
    return DownloadRequest(repo_id=f"org/{number}")


async def test_a_hub_that_hangs_is_given_up_and_told_of(hub: HangingHub) -> None:
    look_ups = LookUps(hub, limit_s=0.05)

    with pytest.raises(Unavailable) as refused:
        await look_ups.remote(asked())

    assert refused.value.code == "hub_unreachable"
    assert "has not answered within 0.05 s" in refused.value.message


async def test_threads_that_a_hub_holds_are_not_those_of_others(hub: HangingHub) -> None:
    look_ups = LookUps(hub)
    waiting = [asyncio.create_task(look_ups.remote(asked(number))) for number in range(14)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()

    async with asyncio.timeout(5):
        answer = await asyncio.to_thread(lambda: "soon")

    assert answer == "soon"


async def test_only_so_many_wait(hub: HangingHub) -> None:
    look_ups = LookUps(hub)
    waiting = [asyncio.create_task(look_ups.remote(asked(number))) for number in range(AT_ONCE + MOST_WAITING)]
    await asyncio.sleep(0)

    with pytest.raises(Busy):
        await look_ups.remote(asked())
    hub.let_go.set()
    found = await asyncio.gather(*waiting)

    assert [remote.repo_id for remote in found] == [f"org/{number}" for number in range(AT_ONCE + MOST_WAITING)]
    assert (await look_ups.remote(asked(99))).repo_id == "org/99"


async def test_once_closed_nothing_is_asked() -> None:
    look_ups = LookUps(ScriptedDownloader())
    look_ups.close()

    with pytest.raises(Unavailable, match="shutting down"):
        await look_ups.remote(asked())


async def test_a_socket_that_accepts_and_never_answers_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        look_ups = LookUps(HubDownloader(HubConfig(), "hub-download"))
        asking = [asyncio.create_task(look_ups.remote(asked(number))) for number in range(14)]
        connection, _ = await asyncio.to_thread(silent.accept)
        for task in asking:
            task.cancel()
        gone = await asyncio.gather(*asking, return_exceptions=True)
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*(asyncio.to_thread(lambda: "soon") for _ in range(20)))
        held = [thread for thread in threading.enumerate() if thread.name == "look-up"]
        connection.close()
    for thread in held:
        await asyncio.to_thread(thread.join, 10)

    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in gone)
    assert answers == ["soon"] * 20
    assert 0 < len(held) <= AT_ONCE
    assert all(thread.daemon for thread in held)  # so that the server can end

"""Downloads with the real plugin, its job's real process, and a hub on this machine."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from attrs import define, field

from downloads_support import wanted
from fake_hub import FakeHub, fake_hub
from hub_support import context
from kernel_support import Log
from lmx.downloads import Downloads
from lmx.jobs import Jobs
from lmx.plugins import discover
from lmx.structure import unstructure
from lmx_hookspecs import DownloadState, DownloadStatus, LoadOptions, ModelInfo
from lmx_hookspecs.errors import ModelNotFound
from lmx_hookspecs.testing import FakeEvents
from lmx_hub.config import HubConfig
from lmx_hub.downloader import HubDownloader
from lmx_hub.source import HubSource
from worker_processes import worker_processes

TINY = Path(__file__).parents[3] / "plugins" / "tiny" / "lmx_tiny" / "models" / "lmx-tiny"
FILES = {path.name: path.read_bytes() for path in TINY.iterdir()}
TOTAL = sum(map(len, FILES.values()))
MIDDLE = 2_000_000
HELD = TOTAL - len(FILES["model.safetensors"]) + MIDDLE
WAIT_S = 30.0


@define(eq=False)
class Desk:
    """A downloads service over real jobs, and the cache that they fill."""

    hub: FakeHub
    cache: Path
    source: HubSource = field(init=False)
    events: FakeEvents = field(factory=FakeEvents)
    found: list[ModelInfo] = field(factory=list)
    downloads: Downloads = field(init=False)
    jobs: Jobs = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.source = HubSource(context(), self.cache)
        registry, log = discover({"echo"}).collect(), Log()
        self.jobs = Jobs(
            lambda: registry.specs("lmx_jobs"), lambda _: unstructure(HubConfig()), cast("Any", self.events), log, 5.0
        )
        downloader = HubDownloader(HubConfig(), "hub-download")
        self.downloads = Downloads(downloader, self.jobs, cast("Any", self), cast("Any", self.events), log)

    async def load(self, model_id: str, _options: LoadOptions) -> None:
        """Find the model, as a load would."""
        info = await asyncio.to_thread(self.source.find, model_id)
        if info is None:
            raise ModelNotFound(f"no model {model_id}")
        self.found.append(info)

    async def until(self, download_id: str, reached: Callable[[DownloadStatus], bool]) -> DownloadStatus:
        """The first status of which that is true."""
        async with asyncio.timeout(WAIT_S):
            while not reached(status := self.downloads.get(download_id)):  # noqa: ASYNC110  it happens in a process
                await asyncio.sleep(0.02)
        return status

    async def ended(self, download_id: str) -> DownloadStatus:
        return await self.until(download_id, lambda status: status.state is not DownloadState.DOWNLOADING)

    async def in_the_middle(self) -> DownloadStatus:
        """A download of which everything is there but the end of the weights, which will not come."""
        self.hub.hold_after("model.safetensors", MIDDLE)
        begun = await self.downloads.start(wanted("org/tiny"))
        return await self.until(begun.id, lambda status: status.downloaded_bytes == HELD)

    def listed(self) -> list[str]:
        """What the cache offers, looked at anew."""
        return [model.id for model in HubSource(context(), self.cache).models()]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with fake_hub({"org/tiny": FILES}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield hub


@asynccontextmanager
async def opened(hub: FakeHub, cache: Path) -> AsyncIterator[Desk]:
    desk = Desk(hub, cache)
    try:
        yield desk
    finally:
        hub.release()
        await desk.downloads.close()
        await desk.jobs.close()


async def test_a_download_counts_bytes_and_the_model_is_found_at_once(hub: FakeHub, cache: Path) -> None:
    async with opened(hub, cache) as desk:
        desk.source.models()
        begun = await desk.downloads.start(wanted("org/tiny"), LoadOptions())
        status = await desk.ended(begun.id)
        await asyncio.gather(*desk.downloads._tasks)

    assert (status.state, status.error) == (DownloadState.COMPLETED, None)
    assert (status.downloaded_bytes, status.total_bytes) == (TOTAL, TOTAL)
    assert (status.files_completed, status.files_total) == (len(FILES), len(FILES))
    (info,) = desk.found
    assert info.path is not None
    assert {path.name: path.read_bytes() for path in info.path.iterdir()} == FILES


async def test_a_cancelled_download_goes_on_where_it_was(hub: FakeHub, cache: Path) -> None:
    async with opened(hub, cache) as desk:
        middle = await desk.in_the_middle()
        cancelled = await desk.downloads.cancel(middle.id)
        listed = desk.listed()
        hub.release()
        hub.requests.clear()

        again = await desk.downloads.start(wanted("org/tiny"))
        completed = await desk.ended(again.id)

    assert (cancelled.state, listed) == (DownloadState.CANCELLED, [])
    assert again.downloaded_bytes == HELD
    assert [asked.start for asked in hub.asked_for("model.safetensors")] == [MIDDLE]
    assert completed.state is DownloadState.COMPLETED
    assert desk.listed() == ["org/tiny"]


async def test_a_killed_job_leaves_no_model_and_its_bytes_are_kept(hub: FakeHub, cache: Path) -> None:
    async with opened(hub, cache) as desk:
        middle = await desk.in_the_middle()
        (process,) = worker_processes()
        process.kill()
        failed = await desk.ended(middle.id)
        listed = desk.listed()
        hub.release()
        hub.requests.clear()

        again = await desk.downloads.start(wanted("org/tiny"))
        completed = await desk.ended(again.id)

    assert failed.state is DownloadState.FAILED
    assert failed.error
    assert listed == []
    assert [asked.start for asked in hub.asked_for("model.safetensors")] == [MIDDLE]
    assert completed.state is DownloadState.COMPLETED
    assert desk.listed() == ["org/tiny"]


async def test_what_the_job_cannot_do_is_the_downloads_error(hub: FakeHub, cache: Path) -> None:
    async with opened(hub, cache) as desk:
        hub.corrupt("model.safetensors", times=2)
        begun = await desk.downloads.start(wanted("org/tiny"))
        status = await desk.ended(begun.id)

    assert status.state is DownloadState.FAILED
    assert "came twice with a checksum other than" in str(status.error)

"""Downloads that an earlier run of the server left behind."""

import asyncio

from downloads_support import Scene, ScriptedDownloader, wanted
from lmx_hookspecs import DownloadState
from lmx_hookspecs.errors import Unavailable
from worker_support import until

LEFT = {"request": {"repo_id": "org/big"}}
DOWN = Unavailable("the hub cannot be reached", code="hub_unreachable")


async def test_what_is_left_over_is_on_record_before_the_hub_has_answered() -> None:
    scene = Scene()

    scene.downloads.resume([LEFT])

    assert [record["request"]["repo_id"] for record in scene.downloads.snapshot()] == ["org/big"]
    assert [status.state for status in scene.downloads.list()] == [DownloadState.DOWNLOADING]
    assert "org/big" in scene.downloads.downloading()
    await scene.downloads.close()


async def test_a_hub_that_is_away_is_asked_again_after_growing_pauses() -> None:
    downloader = ScriptedDownloader(error=DOWN)
    scene = Scene(downloader)
    pauses: list[float] = []
    begun = asyncio.Event()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 8:
            downloader.error = None
            begun.set()

    scene.downloads._pause = pause
    scene.downloads.resume([LEFT])
    await begun.wait()
    kept = scene.downloads.snapshot()
    await until(lambda: bool(scene.jobs.statuses))

    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]
    assert len(kept) == 1
    assert scene.told("download_started")
    await scene.downloads.close()


async def test_what_is_not_begun_by_itself_begins_when_somebody_asks() -> None:
    scene = Scene()
    scene.downloads.resume([LEFT], begin=False)
    await asyncio.sleep(0)
    before = list(scene.jobs.statuses)

    joined = await scene.downloads.start(wanted("org/big"))
    await until(lambda: bool(scene.jobs.statuses))

    assert (before, joined.joined) == ([], True)
    assert [status.request.repo_id for status in scene.downloads.list()] == ["org/big"]
    await scene.downloads.close()


async def test_what_waits_for_the_hub_can_be_cancelled() -> None:
    scene = Scene(ScriptedDownloader(error=DOWN))
    scene.downloads.resume([LEFT])
    (waiting,) = scene.downloads.list()

    cancelled = await scene.downloads.cancel(waiting.id)

    assert cancelled.state is DownloadState.CANCELLED
    assert scene.downloads.snapshot() == []
    await scene.downloads.close()

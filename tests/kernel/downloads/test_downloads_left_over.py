"""Downloads that an earlier run of the server left behind."""

import asyncio
import threading

from downloads_support import Scene, ScriptedDownloader, wanted
from lmx_hookspecs import DownloadRequest, DownloadState, RemoteModel
from lmx_hookspecs.errors import Unavailable
from worker_support import until

LEFT = {"request": {"repo_id": "org/big"}}
DOWN = Unavailable("the hub cannot be reached", code="hub_unreachable")


class HangingForTheOld(ScriptedDownloader):
    """A hub that answers for new downloads at once, and for those of an earlier run when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def look_up(self, request: DownloadRequest) -> RemoteModel:
        if request.repo_id.startswith("left/"):
            self.let_go.wait(30)
        return super().look_up(request)


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

    scene.downloads._resumer._pause = pause
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

    assert (before, joined.joined) == ([], False)
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


async def test_who_asks_for_what_waits_does_not_wait_for_the_end_of_a_pause() -> None:
    downloader = ScriptedDownloader(error=DOWN)
    scene, resting = Scene(downloader), asyncio.Event()

    async def for_ever(_seconds: float) -> None:
        resting.set()
        await asyncio.Event().wait()

    scene.downloads._resumer._pause = for_ever
    scene.downloads.resume([LEFT])
    await resting.wait()
    (waiting,) = scene.downloads.list()
    downloader.error = None
    joined = await scene.downloads.start(wanted("org/big"))
    await until(lambda: bool(scene.jobs.statuses))

    assert waiting.error == "the hub cannot be reached"
    assert (joined.id, joined.joined) == (waiting.id, True)
    assert scene.downloads.get(waiting.id).error is None
    await scene.downloads.close()


async def test_a_bug_of_the_downloader_ends_what_was_left_over_and_is_logged() -> None:
    scene = Scene(ScriptedDownloader(error=ValueError("oops")))  # type: ignore[arg-type]

    scene.downloads.resume([LEFT])
    await until(lambda: scene.downloads.snapshot() == [])

    (status,) = scene.downloads.list()
    assert (status.state, status.error) == (DownloadState.FAILED, "ValueError: oops")
    assert scene.log.named("download_not_resumed")


async def test_what_is_left_over_takes_one_place_at_the_hub_and_leaves_the_others() -> None:
    downloader = HangingForTheOld()
    scene = Scene(downloader)
    scene.downloads.resume([{"request": {"repo_id": f"left/{number}"}} for number in range(5)])
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        begun = await scene.downloads.start(wanted("org/now"))
    downloader.let_go.set()

    assert not begun.joined
    await scene.downloads.close()

import asyncio

import pytest

from downloads_support import NOT_FOUND, Scene, ScriptedDownloader, wanted
from lmx.downloads.service import KEPT_DOWNLOADS
from lmx_hookspecs import DownloadState, JobState, LoadOptions
from lmx_hookspecs.errors import Busy, Conflict, ModelNotFound, NotFound, Unavailable

OPTIONS = LoadOptions(keep_alive_s=5.0, pinned=True, performance={"kv_bits": 8}, context_length=512)


async def test_a_download_runs_as_a_job_and_completes() -> None:
    scene = Scene()

    begun = await scene.downloads.start(wanted(revision="v1", allow_patterns=["*.json"]))
    scene.now_s = 2.5
    scene.jobs.complete("job-0")

    assert (begun.state, begun.total_bytes, begun.files_total) == (DownloadState.DOWNLOADING, 1000, 2)
    assert scene.jobs.statuses["job-0"].arguments == {
        "repo_id": "org/name",
        "revision": "v1",
        "allow_patterns": ["*.json"],
        "ignore_patterns": None,
    }
    assert scene.downloads.get(begun.id).state is DownloadState.COMPLETED
    assert scene.downloads.get(begun.id).finished_at == 1002.5
    assert scene.told("download_started") == [{"download_id": begun.id, "repo_id": "org/name", "total_bytes": 1000}]
    assert scene.told("download_completed") == [
        {"download_id": begun.id, "repo_id": "org/name", "local_path": "/models/here", "duration_sec": 2.5}
    ]


async def test_progress_is_the_jobs_and_is_told_now_and_then() -> None:
    scene = Scene()
    begun = await scene.downloads.start(wanted())

    for received in range(100, 900, 100):
        scene.jobs.tell("job-0", facts={"downloaded_bytes": received, "total_bytes": 1000, "files_completed": 1})

    assert scene.downloads.get(begun.id).downloaded_bytes == 800
    assert scene.told("download_progress") == [
        {
            "download_id": begun.id,
            "repo_id": "org/name",
            "downloaded_bytes": 100,
            "total_bytes": 1000,
            "progress_percent": 10.0,
            "files_completed": 1,
            "files_total": 2,
        }
    ]
    await scene.downloads.close()


async def test_two_who_ask_for_the_same_get_the_same_download() -> None:
    scene = Scene()

    first, second = await asyncio.gather(
        scene.downloads.start(wanted(allow_patterns=["*.json"])),
        scene.downloads.start(wanted(revision="main", allow_patterns=("*.json",)), OPTIONS),
    )
    third = await scene.downloads.start(wanted(allow_patterns=["*.json"]))

    assert first.id == second.id == third.id
    assert third.loads
    assert scene.jobs.running == ["org/name"]


async def test_two_who_want_different_files_of_a_repository_are_kept_apart() -> None:
    scene = Scene()
    begun = await scene.downloads.start(wanted())

    with pytest.raises(Conflict, match=begun.id):
        await scene.downloads.start(wanted(revision="v1"))


async def test_what_has_ended_can_be_asked_for_again() -> None:
    scene = Scene()
    first = await scene.downloads.start(wanted())
    scene.jobs.complete("job-0")

    second = await scene.downloads.start(wanted())

    assert first.id != second.id
    assert [status.id for status in scene.downloads.list()] == [second.id, first.id]


async def test_a_few_run_at_once_and_the_others_wait_their_turn() -> None:
    scene = Scene()
    for number in range(4):
        await scene.downloads.start(wanted(f"org/{number}"))
    before = list(scene.jobs.running)

    scene.jobs.complete("job-0")
    scene.jobs.tell("job-1", state=JobState.FAILED, error="the hub is gone")

    assert before == ["org/0", "org/1"]
    assert scene.jobs.running == ["org/2", "org/3"]
    assert scene.downloads.describe() == {"running": 2, "waiting": 0}
    assert scene.downloads.downloading() == {"org/2", "org/3"}


async def test_a_cancelled_download_ends_its_job() -> None:
    scene = Scene()
    running = await scene.downloads.start(wanted("org/a"))
    scene.downloader.max_concurrent = 1
    waiting = await scene.downloads.start(wanted("org/b"))

    gone = await scene.downloads.cancel(waiting.id)
    ended = await scene.downloads.cancel(running.id)
    again = await scene.downloads.cancel(running.id)

    assert {gone.state, ended.state, again.state} == {DownloadState.CANCELLED}
    assert scene.jobs.running == []
    assert [data["repo_id"] for data in scene.told("download_cancelled")] == ["org/b", "org/a"]


async def test_a_failed_job_is_a_failed_download_with_its_reason() -> None:
    scene = Scene()
    begun = await scene.downloads.start(wanted(), OPTIONS)

    scene.jobs.tell("job-0", state=JobState.FAILED, error="the disk is full")

    assert scene.downloads.get(begun.id).error == "the disk is full"
    assert scene.told("download_failed") == [
        {"download_id": begun.id, "repo_id": "org/name", "error": "the disk is full"}
    ]
    assert scene.models.loads == []


async def test_a_job_that_cannot_be_started_is_a_failed_download() -> None:
    scene = Scene()
    scene.jobs.error = Busy("too many jobs")

    begun = await scene.downloads.start(wanted())

    assert (begun.state, begun.error) == (DownloadState.FAILED, "too many jobs")
    assert scene.downloads.downloading() == set()


async def test_what_cannot_be_looked_up_is_not_begun() -> None:
    scene = Scene(ScriptedDownloader(error=NOT_FOUND))

    with pytest.raises(ModelNotFound):
        await scene.downloads.start(wanted())
    with pytest.raises(ModelNotFound):
        await scene.downloads.offer(wanted())
    assert scene.downloads.list() == []


async def test_without_a_downloader_nothing_is_downloaded() -> None:
    scene = Scene()
    scene.downloads._look_ups.downloader = None

    with pytest.raises(Unavailable, match="no active plugin downloads models") as caught:
        await scene.downloads.start(wanted())
    assert caught.value.code == "no_downloader"


async def test_every_change_of_what_is_in_progress_is_told() -> None:
    scene = Scene()

    begun = await scene.downloads.start(wanted())
    started = scene.changes
    await scene.downloads.start(wanted(), OPTIONS)
    joined = scene.changes
    await scene.downloads.cancel(begun.id)

    assert 0 < started < joined < scene.changes
    assert scene.downloads.snapshot() == []


async def test_the_ended_ones_are_kept_up_to_a_bound() -> None:
    scene = Scene()
    scene.jobs.error = Busy("too many jobs")
    for number in range(KEPT_DOWNLOADS + 5):
        await scene.downloads.start(wanted(f"org/{number}"))

    assert len(scene.downloads.list()) == KEPT_DOWNLOADS
    assert scene.downloads.list()[0].request.repo_id == f"org/{KEPT_DOWNLOADS + 4}"


async def test_an_unknown_download_is_not_found() -> None:
    scene = Scene()

    with pytest.raises(NotFound) as got:
        scene.downloads.get("x" * 1000)
    with pytest.raises(NotFound) as cancelled:
        await scene.downloads.cancel("nope")
    assert (got.value.code, cancelled.value.code) == ("download_not_found", "download_not_found")
    assert len(got.value.message) < 300


async def test_closing_ends_what_runs_and_begins_nothing_more() -> None:
    scene = Scene()
    for number in range(3):
        await scene.downloads.start(wanted(f"org/{number}"))
    changes = scene.changes

    await scene.downloads.close()

    assert {status.state for status in scene.downloads.list()} == {DownloadState.CANCELLED}
    assert len(scene.jobs.statuses) == 2
    assert scene.changes == changes  # what was in progress stays on record
    with pytest.raises(Unavailable, match="shutting down"):
        await scene.downloads.start(wanted())

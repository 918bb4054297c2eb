"""What happens around a transfer: offers, room on the disk, the load after it, and going on after a restart."""

import asyncio

import pytest

from downloads_support import NOT_FOUND, Scene, ScriptedDownloader, wanted
from lmx_hookspecs import DownloadState, LoadOptions
from lmx_hookspecs.errors import InsufficientStorage, NotFound

OPTIONS = LoadOptions(keep_alive_s=5.0, pinned=True, performance={"kv_bits": 8}, context_length=512)


async def background(scene: Scene) -> None:
    """Let what the service does in the background happen."""
    await asyncio.gather(*scene.downloads._resumer._tasks.values())
    await asyncio.gather(*scene.downloads._tasks)


async def test_what_does_not_fit_is_refused_with_the_arithmetic() -> None:
    scene = Scene(ScriptedDownloader(present_bytes=200), free_bytes=879)

    with pytest.raises(InsufficientStorage, match="org/name does not fit"):
        await scene.downloads.start(wanted())
    with pytest.raises(InsufficientStorage):
        await scene.downloads.offer(wanted())
    scene.free_bytes = 880

    assert (await scene.downloads.start(wanted())).downloaded_bytes == 200


async def test_two_downloads_are_not_promised_the_same_space() -> None:
    scene = Scene(free_bytes=2000)
    await scene.downloads.start(wanted("org/a"))

    with pytest.raises(InsufficientStorage, match="downloads in progress will take"):
        await scene.downloads.start(wanted("org/b"))
    scene.jobs.tell("job-0", facts={"downloaded_bytes": 900})

    assert await scene.downloads.start(wanted("org/b"))


async def test_an_offer_of_what_is_being_downloaded_does_not_count_it_twice() -> None:
    scene = Scene(free_bytes=1500)
    begun = await scene.downloads.start(wanted())

    offer = await scene.downloads.offer(wanted())

    assert (await scene.downloads.confirm(offer.token)).id == begun.id


async def test_a_confirmed_offer_is_downloaded_and_loaded_as_it_was_asked_for() -> None:
    scene = Scene()
    offer = await scene.downloads.offer(wanted(), OPTIONS)
    nothing_yet = scene.downloads.list()

    begun = await scene.downloads.confirm(offer.token)
    scene.jobs.complete("job-0")
    await background(scene)

    assert offer.token.startswith("dl-")
    assert (offer.size_bytes, offer.expires_s) == (1000, 600)
    assert nothing_yet == []
    assert begun.loads
    assert scene.models.loads == [("org/name", OPTIONS)]
    assert scene.downloader.asked == ["org/name"]


async def test_a_token_works_once_and_not_for_ever() -> None:
    scene = Scene()
    used = await scene.downloads.offer(wanted())
    late = await scene.downloads.offer(wanted())
    await scene.downloads.confirm(used.token)
    scene.now_s = 600.1

    with pytest.raises(NotFound) as twice:
        await scene.downloads.confirm(used.token)
    with pytest.raises(NotFound, match="has expired") as expired:
        await scene.downloads.confirm(late.token)
    assert (twice.value.code, expired.value.code) == ("token_not_found", "token_expired")


async def test_a_load_that_fails_after_the_download_is_seen() -> None:
    scene = Scene()
    scene.models.error = NOT_FOUND
    begun = await scene.downloads.start(wanted(), OPTIONS)

    scene.jobs.complete("job-0")
    await background(scene)

    status = scene.downloads.get(begun.id)
    assert status.state is DownloadState.COMPLETED
    assert status.error == "it is downloaded, and could not be loaded: the hub has no such model"
    assert scene.told("auto_load_failed") == [
        {
            "download_id": begun.id,
            "repo_id": "org/name",
            "model_id": "org/name",
            "error": "the hub has no such model",
        }
    ]
    assert scene.log.named("auto_load_failed")


async def test_an_earlier_runs_downloads_go_on() -> None:
    before, after = Scene(), Scene()
    await before.downloads.start(wanted("org/a", allow_patterns=["*.gguf"]), OPTIONS)
    await before.downloads.start(wanted("org/b"))
    records = before.downloads.snapshot()

    after.downloads.resume([*records, {"request": {"repo": "?"}}, {}])
    await background(after)
    after.jobs.complete("job-0")
    await background(after)

    assert [status.request.repo_id for status in after.downloads.list()] == ["org/b", "org/a"]
    assert after.jobs.statuses["job-0"].arguments["allow_patterns"] == ["*.gguf"]
    assert after.models.loads == [("org/a", OPTIONS)]
    assert len(after.log.named("download_not_resumed")) == 2


async def test_a_download_that_cannot_go_on_is_listed_as_failed() -> None:
    scene = Scene(ScriptedDownloader(error=NOT_FOUND))

    scene.downloads.resume([{"request": {"repo_id": "org/gone"}}])
    await background(scene)

    (status,) = scene.downloads.list()
    assert (status.state, status.error) == (DownloadState.FAILED, "the hub has no such model")

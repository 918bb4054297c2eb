"""What is asked of downloads is acknowledged once it outlives a crash."""

import asyncio

from downloads_support import Scene, wanted
from kernel_support import turns


async def test_a_download_and_its_end_are_acknowledged_once_they_are_kept() -> None:
    scene, disk_is_free = Scene(), asyncio.Event()
    scene.downloads._kept = disk_is_free.wait  # type: ignore[assignment]
    offer = await scene.downloads.offer(wanted())

    confirming = asyncio.create_task(scene.downloads.confirm(offer.token))
    joining = asyncio.create_task(scene.downloads.start(wanted()))
    await turns(200)
    early = confirming.done() or joining.done()
    disk_is_free.set()
    begun, joined = await confirming, await joining
    disk_is_free.clear()
    cancelling = asyncio.create_task(scene.downloads.cancel(begun.id))
    await turns(200)
    cancelled_early = cancelling.done()
    disk_is_free.set()
    await cancelling

    assert begun.id == joined.id
    assert (early, cancelled_early) == (False, False)

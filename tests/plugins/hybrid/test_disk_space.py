"""Space comes back to the disk, and on a full one something can be deleted."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lmx_hookspecs.errors import InsufficientStorage
from lmx_hookspecs.retrieval import Chunk, CollectionSettings, Document, Search
from lmx_hybrid.reserve import RESERVE_BYTES, Reserve
from lmx_hybrid.store import HybridStore
from store_support import NAME, SETTINGS, document, opened, random_vector

pytest.importorskip("tantivy")

DISK_BYTES = 64 * 2**20
WIDE = CollectionSettings(embedding_model="m", dimensions=1024)


def wide(name: str, chunks: int = 100) -> Document:
    vectors = np.random.default_rng(len(name)).standard_normal((chunks, WIDE.dimensions)).astype("<f4")
    return Document(
        id=name,
        chunks=[Chunk(index=place, text=f"kiwi {place}", embedding=one.tobytes()) for place, one in enumerate(vectors)],
    )


def size(store: HybridStore, suffix: str = "") -> int:
    return store.database.file.with_name(store.database.file.name + suffix).stat().st_size


async def until(event: asyncio.Event) -> None:
    async with asyncio.timeout(30):
        await event.wait()


@pytest.mark.parametrize("left", [True, False])
async def test_the_space_of_what_was_deleted_comes_back_whatever_collections_are_left(
    tmp_path: Path, left: bool
) -> None:
    async with opened(tmp_path) as store:
        await store.create("untouched", SETTINGS)
        for number in range(20):
            await store.ingest(NAME, WIDE, [wide(f"d{number}")])
        await (store.drop("untouched") if not left else store.delete(NAME, ["d0"]))
        full = size(store) + size(store, "-wal")

        await store.drop(NAME)
        await store.sweeper.sweep()
        await store.sweeper.shrink()

        assert full > 8_000_000
        assert size(store) < 300_000
        assert size(store, "-wal") == 0


async def test_space_comes_back_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, checkpoint_interval_sec=0.05) as store:
        for number in range(5):
            await store.ingest(NAME, WIDE, [wide(f"d{number}")])
        shrunk, make, loop = asyncio.Event(), Reserve.make, asyncio.get_running_loop()

        def make_and_tell(self: Reserve) -> bool:
            """What the sweeper does last."""
            if size(store) < 300_000:
                loop.call_soon_threadsafe(shrunk.set)
            return make(self)

        monkeypatch.setattr(Reserve, "make", make_and_tell)
        await store.drop(NAME)
        await until(shrunk)


async def test_a_log_that_somebody_reads_is_not_waited_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [document("d", "kiwi")])
        with store.database.reading() as connection:
            connection.execute("SELECT count(*) FROM chunks").fetchone()
            await store.ingest(NAME, SETTINGS, [document("e", "kiwi")])
            async with asyncio.timeout(5):
                await store.sweeper.shrink()
            assert size(store, "-wal") > 0
        await store.search(NAME, Search(text="kiwi", embedding=random_vector(1)))  # nor do the indexes read any more
        await store.sweeper.shrink()
        assert size(store, "-wal") == 0


def test_a_reserve_is_released_for_what_frees_space_and_made_again(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve")
    assert reserve.make()
    assert reserve.file.stat().st_size == RESERVE_BYTES
    tries: list[bool] = []

    def free() -> str:
        tries.append(reserve.file.exists())
        if reserve.file.exists():
            raise InsufficientStorage("full")
        return "done"

    assert reserve.freeing(free, lambda: None) == "done"
    assert tries == [True, False]
    reserve.require()
    assert reserve.file.exists()


def test_where_no_reserve_can_be_made_nothing_is_taken_in(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve", size_bytes=2**60)

    with pytest.raises(InsufficientStorage, match="delete documents or collections"):
        reserve.require()
    assert not reserve.file.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, where the system lets us have one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    yield place
    subprocess.run(["umount", place], check=True)


def fill(place: Path) -> None:
    """Take what is left."""
    descriptor = os.open(place / "filler", os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        while os.write(descriptor, bytes(2**16)):
            pass
    except OSError:
        os.close(descriptor)


@pytest.mark.parametrize("what", ["documents", "collection"])
async def test_on_a_full_disk_something_can_be_deleted_and_then_something_stored(small_disk: Path, what: str) -> None:
    async with opened(small_disk) as store:
        for number in range(40):
            await store.ingest(NAME, WIDE, [wide(f"d{number}")])
        await store.search(NAME, Search(text="kiwi", mode="keyword"))
        fill(small_disk)
        with pytest.raises(InsufficientStorage):
            await store.ingest("another", WIDE, [wide(f"e{number}") for number in range(100)])

        if what == "documents":
            for number in range(40):
                assert await store.delete(NAME, [f"d{number}"]) == 1
        else:
            assert await store.drop(NAME) == 4000
        await store.sweeper.sweep()
        await store.sweeper.shrink()

        assert size(store) + size(store, "-wal") < 300_000
        assert store.reserve.held
        await store.ingest("another", WIDE, [wide("e")])
        assert (await store.search("another", Search(text="kiwi", mode="keyword"))).hits

"""Nobody but their owner can read what a store has on disk."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lmx_hookspecs.errors import EngineFailed
from lmx_hookspecs.retrieval import Search
from store_support import NAME, SETTINGS, document, opened

INDEXES = "indexes"


def readable_by_others(folder: Path) -> list[str]:
    """Files that somebody else could open, by their places, in whatever folder."""
    private = [path for path in folder.rglob("*") if path.is_dir() and path.stat().st_mode & 0o077 == 0]
    files = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
    return [str(path.relative_to(folder)) for path in files if not any(one in path.parents for one in private)]


async def test_a_folder_that_others_can_read_gets_private_files(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)

    async with opened(folder) as store:
        await store.ingest(NAME, SETTINGS, [document("a", "kiwi", "apple")])
        assert (await store.search(NAME, Search(text="kiwi", mode="keyword"))).hits
        during = readable_by_others(folder)
        names = {path.name for path in folder.iterdir()}

    assert {"store.sqlite", "store.sqlite-wal", "store.sqlite-shm", INDEXES} <= names
    assert during == readable_by_others(folder) == []
    assert any((folder / INDEXES).iterdir()), "its files are behind the folder"


async def test_files_of_an_earlier_store_are_made_private(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [document("a", "kiwi")])
    for path in (tmp_path / "store.sqlite", tmp_path / INDEXES):
        path.chmod(0o755)
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as other:  # as after a crash, its WAL stays
        other.execute("SELECT count(*) FROM chunks").fetchall()
        for suffix in ("-wal", "-shm"):
            (tmp_path / f"store.sqlite{suffix}").chmod(0o644)

        async with opened(tmp_path):
            assert readable_by_others(tmp_path) == []


async def test_a_snapshot_is_for_its_owner_only(tmp_path: Path) -> None:
    async with opened(tmp_path / "store") as store:
        await store.ingest(NAME, SETTINGS, [document("a", "kiwi")])
        await store.snapshot(NAME, tmp_path / "file")

    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


async def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(EngineFailed, match=r"store\.sqlite cannot be used"):
        async with opened(tmp_path):
            pass

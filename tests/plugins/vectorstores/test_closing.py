"""A server that ends while something is being kept."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from http_support import PATIENCE_S, until
from lmx_hookspecs.testing import FakeContext
from lmx_vectorstores import desk as desks
from lmx_vectorstores import errands
from lmx_vectorstores.config import VectorStoresConfig
from lmx_vectorstores.desk import Desk, open_desk
from lmx_vectorstores.files_table import Bounds, NewFile, add_file, known_files
from lmx_vectorstores.paging import Row
from vector_store_support import RetrievingServices

FILE = NewFile(
    id="file-1",
    owner="",
    filename="a.txt",
    purpose="assistants",
    media_type="text/plain",
    size_bytes=3,
    created_at=1.0,
    expires_at=None,
)


def opened() -> Desk:
    return open_desk(FakeContext(config=VectorStoresConfig(), services=RetrievingServices()))


async def cut_off(source: Path, begun: threading.Event, go: threading.Event) -> None:
    """A desk that is closed while the database keeps a file, and lets it go once the upload has been given up."""
    desk = opened()
    upload = asyncio.create_task(desk.keep_file(source, FILE))
    await until(begun.is_set)
    closing = asyncio.create_task(desk.close())
    await until(upload.done)
    go.set()
    await closing
    assert upload.cancelled()


@pytest.mark.parametrize("is_kept", [True, False])
async def test_an_upload_that_is_cut_off_is_kept_with_its_bytes_or_not_at_all(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_kept: bool
) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(db: sqlite3.Connection, file: NewFile, bounds: Bounds) -> Row:
        begun.set()
        assert go.wait(PATIENCE_S)
        return add_file(db, file, bounds if is_kept else Bounds(files=0, size_bytes=0))

    monkeypatch.setattr(errands, "CLOSING_S", 0.0)
    monkeypatch.setattr(desks, "add_file", slow)
    source = tmp_path / "upload"
    source.write_text("abc")

    await cut_off(source, begun, go)
    desk = opened()
    await desk.start()
    known = await desk.ledger.ask(known_files)
    await desk.close()

    assert known == ({FILE.id} if is_kept else set())
    assert {path.name for path in (home / "files").iterdir()} == known

"""Uploads that break off, stand still or find no room: nothing of them stays behind."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from http_support import error_of, serving, until
from lmx.config.server import Server
from lmx.http import multipart, uploads
from lmx.http.inflow import Inflow
from lmx_hookspecs import Route
from lmx_hookspecs.errors import InsufficientStorage, InvalidRequest
from upload_support import NAMED, Desk, Labels, entries, raw, served


async def test_a_client_that_goes_away_leaves_no_file(tmp_path: Path) -> None:
    head = raw(
        "POST /up HTTP/1.1",
        "Host: localhost",
        "Content-Type: multipart/form-data; boundary=b",
        "Content-Length: 100000",
        "",
        "--b",
        'Content-Disposition: form-data; name="f"; filename="a.bin"',
        "",
        "x" * 3000,
    )

    async with served(tmp_path) as (server, desk):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head)
        await until(lambda: any(path.stat().st_size for path in tmp_path.glob("*/*/0")))
        writer.close()
        await until(lambda: not list(tmp_path.glob("*/*")))
        assert desk.seen == []


async def test_the_end_of_the_server_removes_what_was_being_answered(tmp_path: Path) -> None:
    async with served(tmp_path, Server(shutdown_grace_s=0.5), hold=asyncio.Event()) as (server, desk):
        asking = asyncio.create_task(server.ask("POST", "/up", data={"collection": "c"}, files={"f": b"x"}))
        await asyncio.wait_for(desk.reached.wait(), 20)
        assert desk.left()

    answer = await asking
    assert answer.status_code == 503
    assert (desk.left(), entries(tmp_path)) == ([], [])


async def test_an_upload_that_stands_still_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "IDLE_S", 0.2)

    async def slowly() -> Any:
        yield raw("--b", NAMED, "", "c")
        await asyncio.sleep(5)

    async with served(tmp_path) as (server, _):
        answer = await server.ask(
            "POST", "/up", content=slowly(), headers={"Content-Type": "multipart/form-data; boundary=b"}
        )

    assert (answer.status_code, "nothing of the upload came" in error_of(answer)["message"]) == (400, True)


async def test_an_upload_that_comes_in_drops_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "IDLE_S", 0.2)
    inflow = Inflow()
    sender = uploads.Sender(inflow)

    async def drip() -> None:
        while True:
            await inflow.put(b"x")
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    with pytest.raises(InvalidRequest, match="over a faster line"):
        await drained(sender)
    dripping.cancel()


async def drained(sender: uploads.Sender) -> None:
    while await sender.next():
        pass


async def test_a_full_disk_is_a_507_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(multipart._FilePart, "write", full)

    async with served(tmp_path) as (server, _):
        answer = await server.ask("POST", "/up", data={"collection": "c"}, files={"f": b"x"})

    error = error_of(answer)
    assert (answer.status_code, error["code"], "is full" in error["message"]) == (507, "insufficient_storage", True)


async def test_a_folder_that_cannot_be_written_is_a_507(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.touch()

    async with served(taken) as (server, _):
        answer = await server.ask("POST", "/up", data={"collection": "c"}, files={"f": b"x"})

    assert (answer.status_code, error_of(answer)["code"]) == (507, "insufficient_storage")


async def test_a_folder_that_cannot_be_made_leaves_no_lock_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, os.strerror(28))

    folder, open_before = uploads.UploadFolder(tmp_path), len(entries(Path("/dev/fd")))
    monkeypatch.setattr(os, "mkdir", full)
    with pytest.raises(InsufficientStorage, match="mend that"):
        folder.new()

    assert (entries(tmp_path), len(entries(Path("/dev/fd")))) == ([], open_before)


async def test_what_a_dead_process_left_is_removed_and_what_a_living_one_uses_is_not(tmp_path: Path) -> None:
    left, used = tmp_path / "aaaa", uploads.UploadFolder(tmp_path)
    (left / "x").mkdir(parents=True)
    kept = used.new()

    uploads.UploadFolder(tmp_path).sweep()

    assert (left.exists(), kept.exists()) == (False, True)
    used.close()
    assert entries(tmp_path) == []


async def test_a_refused_request_is_answered_before_its_files_have_come(tmp_path: Path) -> None:
    from lmx.config.schema import Security

    desk = Desk()
    route = Route(method="POST", path="/up", handler=desk.take, summary="x", body=Labels, max_files=1)

    async with serving(route, security=Security(api_keys=["k"]), uploads=tmp_path) as server:
        answer = await server.ask("POST", "/up", data={"collection": "c"}, files={"f": bytes(3 * 2**20)})

    assert answer.status_code == 401
    assert entries(tmp_path) == []

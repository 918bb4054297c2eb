"""What is kept, for whom, how long, and what happens to a file that is damaged."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from http_support import RecordingLog
from lmx_hookspecs.errors import InsufficientStorage, InvalidRequest
from lmx_responses.database import Bounds
from lmx_responses.store import Store
from responses_support import all_bytes

ROOMY = Bounds(count=100, size_bytes=10**6, ttl_s=1000.0)


@define
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def opened(
    home: Path, bounds: Bounds = ROOMY, clock: Callable[[], float] | None = None, log: RecordingLog | None = None
) -> AsyncIterator[Store]:
    store = Store(home, bounds, clock or Clock(), log or RecordingLog())
    try:
        yield store
    finally:
        await store.close()


def response(response_id: str, status: str = "completed", **fields: Any) -> dict[str, Any]:
    return {"id": response_id, "status": status, "output": [], **fields}


def message(item_id: str, text: str = "hi") -> dict[str, Any]:
    return {"id": item_id, "type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def modes_in(folder: Path) -> dict[str, int]:
    """Who may read what, the folder itself among it."""
    return {path.relative_to(folder).as_posix(): path.stat().st_mode & 0o777 for path in [folder, *folder.iterdir()]}


def read(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


async def kept(store: Store, *ids: str, owner: str = "") -> list[str]:
    return [one for one in ids if await store.get(owner, one) is not None]


async def test_a_restart_changes_nothing(home: Path) -> None:
    async with opened(home) as store:
        await store.put("", response("a", "in_progress"), [message("msg_1")])
        assert await store.update(response("a", output=[message("msg_2")]))

    async with opened(home) as store:
        stored = await store.get("", "a")
        items = [await store.item("", name) for name in ("msg_1", "msg_2", "msg_3")]

    assert stored is not None
    assert (stored.response["status"], stored.input) == ("completed", [message("msg_1")])
    assert items == [message("msg_1"), message("msg_2"), None]


async def test_nobody_but_its_user_can_read_the_file(home: Path) -> None:
    async with opened(home) as store:
        await store.put("", response("a"), [])
        modes = modes_in(home)

    assert modes.pop(".") == 0o700
    assert modes.keys() >= {"responses.db", "responses.db-wal", "responses.lock"}
    assert set(modes.values()) == {0o600}


async def test_a_response_and_its_items_belong_to_one_key(home: Path) -> None:
    async with opened(home) as store:
        await store.put("mine", response("a"), [message("msg_1")])
        await store.put("other", response("b"), [message("msg_1", "theirs")])

        assert await kept(store, "a", owner="other") == []
        assert not await store.remove("other", "a")
        assert await store.item("mine", "msg_1") == message("msg_1")
        assert await store.item("other", "msg_1") == message("msg_1", "theirs")
        assert await store.item("nobody", "msg_1") is None
        assert await kept(store, "a", owner="mine") == ["a"]


async def test_the_oldest_go_when_there_are_too_many(home: Path) -> None:
    async with opened(home, Bounds(count=2, size_bytes=10**6, ttl_s=10.0)) as store:
        for name in "abc":
            await store.put("", response(name), [message(f"msg_{name}")])

        assert await kept(store, *"abc") == ["b", "c"]
        assert await store.item("", "msg_a") is None


async def test_the_oldest_go_when_they_are_too_large(home: Path) -> None:
    async with opened(home, Bounds(count=100, size_bytes=2500, ttl_s=10.0)) as store:
        for name in "abc":
            await store.put("", response(name), [message("msg", "x" * 1000)])

        assert await kept(store, *"abc") == ["b", "c"]
        await store.update(response("c", output=[message("msg_2", "x" * 1000)]))
        assert await kept(store, *"abc") == ["c"]


async def test_what_is_being_made_is_never_the_one_to_go(home: Path) -> None:
    async with opened(home, Bounds(count=1, size_bytes=10**6, ttl_s=10.0)) as store:
        await store.put("", response("a", "in_progress"), [])
        await store.put("", response("b"), [])
        await store.put("", response("c"), [])

        assert await kept(store, *"abc") == ["a", "c"]


async def test_what_alone_is_too_large_is_refused(home: Path) -> None:
    async with opened(home, Bounds(count=1, size_bytes=500, ttl_s=10.0)) as store:
        with pytest.raises(InvalidRequest, match=r"max_bytes is 500") as caught:
            await store.put("", response("a"), [message("msg", "x" * 1000)])

    assert caught.value.param == "input"


async def test_a_response_expires(home: Path) -> None:
    clock = Clock()
    async with opened(home, Bounds(count=9, size_bytes=10**6, ttl_s=10.0), clock) as store:
        await store.put("", response("a"), [message("msg_1")])
        clock.now += 9.9
        assert await kept(store, "a") == ["a"]
        clock.now += 0.1
        assert await kept(store, "a") == []
        assert await store.item("", "msg_1") is None


async def test_what_was_deleted_is_nowhere_in_the_files(home: Path) -> None:
    async with opened(home) as store:
        await store.put("", response("a"), [message("msg_1", "the-secret-of-the-day")])
        before = all_bytes(home)
        assert await store.remove("", "a")
        after = all_bytes(home)

    assert b"the-secret-of-the-day" in before
    assert b"the-secret-of-the-day" not in after


@pytest.mark.parametrize("status", ["in_progress", "queued"])
async def test_what_an_earlier_server_left_unfinished_has_failed(home: Path, status: str) -> None:
    async with opened(home) as store:
        await store.put("", response("a", status), [])
    log = RecordingLog()

    async with opened(home, log=log) as store:
        stored = await store.get("", "a")

    assert stored is not None
    assert stored.response["status"] == "failed"
    assert "stopped before" in stored.response["error"]["message"]
    assert log.named("responses_interrupted") == [{"count": 1}]


async def test_a_file_that_is_no_database_is_set_aside_and_the_server_goes_on(home: Path) -> None:
    write(home / "responses.db", b"no database at all" * 500)
    log = RecordingLog()

    async with opened(home, log=log) as store:
        await store.put("", response("a"), [])
        assert await kept(store, "a") == ["a"]

    assert read(home / "responses.db.damaged").startswith(b"no database")
    assert len(log.named("responses_set_aside")) == 1


async def test_a_file_that_is_damaged_while_it_is_open_is_set_aside(home: Path) -> None:
    async with opened(home) as store:
        for number in range(50):
            await store.put("", response(f"r{number}"), [message("msg", "x" * 2000)])
    pages = read(home / "responses.db")
    write(home / "responses.db", pages[:4096] + b"\xff" * (len(pages) - 4096))  # the header stays, so it opens
    log = RecordingLog()

    async with opened(home, log=log) as store:
        await store.put("", response("a"), [])
        assert await kept(store, "a") == ["a"]

    assert len(log.named("responses_set_aside")) == 1


async def test_a_database_of_a_later_version_is_set_aside(home: Path) -> None:
    async with opened(home) as store:
        await store.put("", response("a"), [])
    connection = sqlite3.connect(home / "responses.db")
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    log = RecordingLog()

    async with opened(home, log=log) as store:
        assert await kept(store, "a") == []

    assert "version is 2" in log.named("responses_set_aside")[0]["reason"]


async def test_where_nothing_can_be_written_the_client_is_told(home: Path) -> None:
    write(home, b"a file where the folder should be")

    async with opened(home) as store:
        with pytest.raises(InsufficientStorage, match="store: false"):
            await store.put("", response("a"), [])


async def test_two_servers_do_not_take_each_other_s_responses_for_dead(home: Path) -> None:
    log = RecordingLog()
    async with opened(home) as first, opened(home, log=log) as second:
        await first.put("", response("a", "in_progress"), [])
        await second.put("", response("b"), [])

        assert await kept(second, "a", "b") == ["b"]
        stored = await first.get("", "a")

    assert stored is not None
    assert stored.response["status"] == "in_progress"
    assert len(log.named("responses_in_memory")) == 1


async def test_the_event_loop_goes_on_while_the_database_is_busy(home: Path) -> None:
    async with opened(home) as store:
        await store.put("", response("a"), [])
        release = asyncio.Event()
        loop = asyncio.get_running_loop()

        def hold(_: Any) -> None:
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result(20)

        holding = asyncio.create_task(store._call(hold))
        asking = asyncio.create_task(store.get("", "a"))
        await asyncio.sleep(0)
        assert not asking.done()
        release.set()
        await holding
        assert await asking is not None

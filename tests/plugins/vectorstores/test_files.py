"""/v1/files, by OpenAI's own client over a real socket."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, BadRequestError, NotFoundError

from http_support import error_of
from vector_store_support import keeping

GUIDE = ("guide.txt", b"LMX listens on port 1234.")


async def test_a_file_is_kept_listed_read_and_deleted(home: Path) -> None:
    async with keeping() as kept:
        file = await kept.client.files.create(file=GUIDE, purpose="assistants")
        listed = await kept.client.files.list()
        content = await kept.client.files.content(file.id)
        deleted = await kept.client.files.delete(file.id)

        assert (file.filename, file.bytes, file.purpose, file.status) == (*_facts(), "processed")
        assert file.id.startswith("file-")
        assert [one.id for one in listed.data] == [file.id]
        assert content.content == GUIDE[1]
        assert (deleted.id, deleted.deleted, deleted.object) == (file.id, True, "file")
        assert list((home / "files").iterdir()) == []
        with pytest.raises(NotFoundError):
            await kept.client.files.delete(file.id)


async def test_content_is_a_download_that_no_browser_shows() -> None:
    async with keeping() as kept:
        file = await kept.client.files.create(file=("x.html", b"<script>1</script>", "text/html"), purpose="user_data")

        answer = await kept.server.ask("GET", f"/v1/files/{file.id}/content")

        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")


async def test_lists_have_pages_orders_and_purposes() -> None:
    async with keeping() as kept:
        purposes: list[Any] = ["assistants", "vision", "assistants"]
        ids = [
            (await kept.client.files.create(file=(f"{n}.txt", b"x"), purpose=purpose)).id
            for n, purpose in enumerate(purposes)
        ]

        newest = await kept.client.files.list(limit=2)
        everything = [file.id async for file in kept.client.files.list(limit=1)]
        oldest_first = await kept.client.files.list(order="asc")
        seen = await kept.client.files.list(purpose="vision")
        answer = await kept.server.ask("GET", "/v1/files?limit=2")

    assert [file.id for file in newest.data] == [ids[2], ids[1]]
    assert newest.has_more
    assert everything == ids[::-1]
    assert [file.id for file in oldest_first.data] == ids
    assert not oldest_first.has_more
    assert [file.id for file in seen.data] == [ids[1]]
    assert (answer.json()["first_id"], answer.json()["last_id"]) == (ids[2], ids[1])


@pytest.mark.parametrize(
    ("query", "param"),
    [("limit=0", "limit"), ("limit=10001", "limit"), ("order=up", "order"), ("after=file-x", "after")],
)
async def test_bad_pages_are_refused(query: str, param: str) -> None:
    async with keeping() as kept:
        answer = await kept.server.ask("GET", f"/v1/files?{query}")

    assert answer.status_code == 400
    assert error_of(answer)["param"] == param


async def test_unknown_purposes_missing_files_and_other_fields_are_refused() -> None:
    async with keeping() as kept:
        ask: Any = kept.server.ask
        with pytest.raises(BadRequestError) as purpose:
            await kept.client.files.create(file=GUIDE, purpose="nothing")  # type: ignore[arg-type]
        missing = await ask("POST", "/v1/files", json={"purpose": "assistants"})
        elsewhere = await ask("POST", "/v1/files", data={"purpose": "assistants"}, files={"document": GUIDE})

    assert purpose.value.param == "purpose"
    assert (missing.status_code, error_of(missing)["param"]) == (400, "file")
    assert (elsewhere.status_code, error_of(elsewhere)["param"]) == (400, "file")


async def test_files_above_the_limit_are_refused_and_leave_nothing(home: Path) -> None:
    async with keeping(max_file_bytes=1024) as kept:
        with pytest.raises(APIStatusError) as refused:
            await kept.client.files.create(file=("big.txt", b"x" * 1025), purpose="assistants")
        await kept.client.files.create(file=("fits.txt", b"x" * 1024), purpose="assistants")

    assert refused.value.status_code == 413
    assert len(list((home / "files").iterdir())) == 1


async def test_the_count_and_the_bytes_of_all_files_are_bounded() -> None:
    async with keeping(max_files=2, max_bytes=1024) as kept:
        first = await kept.client.files.create(file=("a.txt", b"x" * 1000), purpose="assistants")
        with pytest.raises(APIStatusError) as bytes_:
            await kept.client.files.create(file=("b.txt", b"x" * 100), purpose="assistants")
        await kept.client.files.create(file=("c.txt", b"x"), purpose="assistants")
        with pytest.raises(APIStatusError) as count:
            await kept.client.files.create(file=("d.txt", b"x"), purpose="assistants")
        await kept.client.files.delete(first.id)
        await kept.client.files.create(file=("e.txt", b"x"), purpose="assistants")

    assert bytes_.value.status_code == count.value.status_code == 507
    assert "max_bytes" in bytes_.value.message
    assert "max_files" in count.value.message


async def test_a_file_expires_when_its_time_is_up() -> None:
    async with keeping() as kept:
        started = kept.desk.now()
        file = await kept.client.files.create(
            file=GUIDE, purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600}
        )
        assert file.expires_at is not None
        assert 3600 <= file.expires_at - int(started) <= 3660
        await kept.desk.sweep()
        assert (await kept.client.files.retrieve(file.id)).id == file.id

        kept.desk.now = lambda: started + 3700
        await kept.desk.sweep()

        with pytest.raises(NotFoundError):
            await kept.client.files.retrieve(file.id)


async def test_files_are_there_after_a_restart_and_half_uploads_are_not(home: Path) -> None:
    async with keeping() as kept:
        file = await kept.client.files.create(file=GUIDE, purpose="assistants")
    (home / "files" / file.id).rename(home / "files" / f"{file.id}.part")
    (home / "files" / "file-unknown.part").write_bytes(b"half")

    async with keeping() as kept:
        content = await kept.client.files.content(file.id)

    assert content.content == GUIDE[1]
    assert [path.name for path in (home / "files").iterdir()] == [file.id]


async def test_what_is_kept_is_for_the_servers_user_only(home: Path) -> None:
    async with keeping() as kept:
        file = await kept.client.files.create(file=GUIDE, purpose="assistants")

    modes = [path.stat().st_mode & 0o777 for path in (home / "files" / file.id, home / "vectorstores.db")]
    assert modes == [0o600, 0o600]
    assert (home / "files").stat().st_mode & 0o777 == 0o700


async def test_a_second_server_of_the_same_home_says_so() -> None:
    async with keeping() as kept:
        await kept.client.files.create(file=GUIDE, purpose="assistants")
        async with keeping() as second:
            with pytest.raises(APIStatusError) as refused:
                await second.client.files.list()

    assert refused.value.status_code == 503


DAMAGE = b"no database at all" * 100


@pytest.fixture
def damaged(home: Path) -> Iterator[None]:
    """What stands in the place of the database is none, and stays there."""
    home.mkdir()
    (home / "vectorstores.db").write_bytes(DAMAGE)
    yield
    assert (home / "vectorstores.db").read_bytes() == DAMAGE


@pytest.mark.usefixtures("damaged")
async def test_a_damaged_database_is_named_and_left_alone(home: Path) -> None:
    async with keeping() as kept:
        with pytest.raises(APIStatusError) as refused:
            await kept.client.files.list()

    assert refused.value.status_code == 507
    assert str(home) in refused.value.message
    assert kept.server.log.named("vector_stores_unavailable")


def _facts() -> tuple[str, int, str]:
    return GUIDE[0], len(GUIDE[1]), "assistants"

import asyncio
from pathlib import Path
from typing import Any

from http_support import serving, until
from lmx_hookspecs import Request, Response, Route
from lmx_hookspecs.files import PIECE_BYTES, FileChunks, file_response


def route(path: Path, *, temporary: bool) -> Route:
    async def send(_: Any, __: Request) -> Response:
        return await file_response(path, name="käse.bin", temporary=temporary)

    return Route(method="GET", path="/file", handler=send, summary="x")


async def test_a_file_is_sent_with_its_length_and_name(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * 4096)

    async with serving(route(file, temporary=False)) as server:
        answer = await server.ask("GET", "/file")

    assert answer.content == file.read_bytes()
    assert answer.headers["content-length"] == str(2**20)
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''k%C3%A4se.bin"
    assert answer.headers["content-type"] == "application/octet-stream"


async def test_a_temporary_file_is_gone_after_the_answer_and_after_a_head(tmp_path: Path) -> None:
    for method, size in (("GET", 5), ("HEAD", 0)):
        file = tmp_path / method
        file.write_bytes(b"12345")

        async with serving(route(file, temporary=True)) as server:
            answer = await server.ask(method, "/file")
            await until(lambda file=file: not file.exists())  # type: ignore[misc]  # no lambda with a default is typed

        assert len(answer.content) == size


async def test_a_client_that_goes_away_lets_go_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as opened:
        opened.truncate(PIECE_BYTES * 400)

    async with serving(route(file, temporary=True)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /file HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readexactly(10)
        writer.close()
        await until(lambda: not file.exists())


async def test_what_was_never_asked_for_is_deleted_too(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    await FileChunks(file, temporary=True).aclose()

    assert not file.exists()

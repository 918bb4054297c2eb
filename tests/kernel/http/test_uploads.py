"""Forms with files, over the socket: what a handler is given, and what is refused."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from http_support import error_of, until
from lmx.config.server import Server
from upload_support import NAMED, entries, raw, served


async def test_a_form_reaches_the_handler_as_a_body_and_files_that_are_gone_after_the_answer(tmp_path: Path) -> None:
    data = {"collection": "c", "size": "512", "tags": ["a", "b"], "metadata": '[{"n": 1}]', "skip": "true"}
    files = [("files", ("dir/ä\n.md", b"# one", "text/markdown")), ("files", ("b.bin", bytes(4096)))]

    async with served(tmp_path) as (server, desk):
        answer = await server.ask("POST", "/up", data=data, files=files)

        assert answer.json()["body"] == {
            "collection": "c",
            "size": 512,
            "tags": ["a", "b"],
            "metadata": [{"n": 1}],
            "skip": True,
        }
        first, second = answer.json()["files"]
        assert (first["field"], first["type"], first["size"], first["text"]) == ("files", "text/markdown", 5, "# one")
        assert (first["name"], first["mode"], second["name"], second["size"]) == ("ä%0A.md", 0o700, "b.bin", 4096)
        await until(lambda: not desk.left())
    assert entries(tmp_path) == []


async def test_json_without_files_is_taken_as_well(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, _):
        answer = await server.ask("POST", "/up", json={"collection": "c", "tags": ["x"]})

    assert answer.json()["body"]["tags"] == ["x"]
    assert answer.json()["files"] == []


async def test_a_route_without_files_refuses_forms(tmp_path: Path) -> None:
    async with served(tmp_path, max_files=0) as (server, _):
        answer = await server.ask("POST", "/up", data={"collection": "c"}, files={"f": b"x"})

    assert (answer.status_code, "form" in error_of(answer)["message"]) == (400, True)


async def test_a_route_without_a_body_takes_files_and_no_texts(tmp_path: Path) -> None:
    async with served(tmp_path, body=None) as (server, _):
        good = await server.ask("POST", "/up", files={"f": ("a.txt", b"x")})
        bad = await server.ask("POST", "/up", data={"note": "x"}, files={"f": ("a.txt", b"x")})

    assert (good.json()["body"], good.json()["files"][0]["name"]) == (None, "a.txt")
    assert (bad.status_code, error_of(bad)["param"]) == (400, "note")


TOO_MUCH: Mapping[str, tuple[Mapping[str, Any], str, str]] = {
    "a file beyond the limit": ({"files": {"doc": ("a.txt", bytes(4102))}}, "doc", "max_upload_bytes"),
    "files beyond the limit": ({"files": [("f", ("a", bytes(4000))), ("g", ("b", bytes(200)))]}, "g", "max_upload"),
    "a third file": ({"files": [("f", ("a", b"x")), ("f", ("b", b"x")), ("g", ("c", b"x"))]}, "g", "2 files"),
    "a third file that is empty": (
        {"files": [("f", ("a", b"")), ("f", ("b", b"")), ("g", ("c", b""))]},
        "g",
        "2 files",
    ),
    "texts beyond the limit": ({"files": {"f": b"x"}, "data": {"collection": "x" * 2049}}, "collection", "body_bytes"),
}


@pytest.mark.parametrize("name", TOO_MUCH)
async def test_too_much_is_refused_with_413_and_nothing_stays(name: str, tmp_path: Path) -> None:
    sent, param, words = TOO_MUCH[name]

    async with served(tmp_path) as (server, _):
        answer = await server.ask("POST", "/up", **sent)
        assert (answer.status_code, error_of(answer)["param"]) == (413, param)
        assert words in error_of(answer)["message"]
        await until(lambda: not list(tmp_path.glob("*/*")))


BAD: Mapping[str, tuple[str, bytes, str | None, str]] = {
    "no boundary": ("multipart/form-data", b"x", None, "boundary"),
    "a boundary of 80 characters": (f"multipart/form-data; boundary={'b' * 80}", b"x", None, "boundary"),
    "an end too early": ("multipart/form-data; boundary=b", raw("--b", NAMED, "", "c"), None, "last boundary"),
    "nothing at all": ("multipart/form-data; boundary=b", b"", None, "last boundary"),
    "no form": ("multipart/form-data; boundary=b", b'{"collection": "c"}', None, "last boundary"),
    "a part without a disposition": (
        "multipart/form-data; boundary=b",
        raw("--b", "A: b", "", "c", "--b--"),
        None,
        "D",
    ),
    "a part without a name": (
        "multipart/form-data; boundary=b",
        raw("--b", "Content-Disposition: form-data", "", "c", "--b--"),
        None,
        "name",
    ),
    "a text that is not UTF-8": (
        "multipart/form-data; boundary=b",
        raw("--b", NAMED, "", "\xff", "--b--"),
        "collection",
        "UTF-8",
    ),
    "a header that never ends": (
        "multipart/form-data; boundary=b",
        raw("--b", "X: " + "x" * 400_000),
        None,
        "never ends",
    ),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_is_no_form_is_refused(name: str, tmp_path: Path) -> None:
    content_type, body, param, words = BAD[name]

    async with served(tmp_path) as (server, _):
        answer = await server.ask("POST", "/up", content=body, headers={"Content-Type": content_type})

    assert (answer.status_code, error_of(answer)["param"]) == (400, param)
    assert words in error_of(answer)["message"]


async def test_a_part_for_which_no_file_was_chosen_is_none(tmp_path: Path) -> None:
    empty = raw(
        "--b", NAMED, "", "c", "--b", 'Content-Disposition: form-data; name="f"; filename=""', "", "", "--b--", ""
    )

    async with served(tmp_path) as (server, _):
        answer = await server.ask(
            "POST", "/up", content=empty, headers={"Content-Type": "multipart/form-data; boundary=b"}
        )

    assert answer.json()["files"] == []


async def test_several_such_parts_are_none_either_and_too_many_of_them_are_too_much(tmp_path: Path) -> None:
    typed = {"Content-Type": "multipart/form-data; boundary=b"}
    nothing = raw("--b", 'Content-Disposition: form-data; name="f"; filename=""', "", "", "")
    rest = raw("--b", NAMED, "", "c", "--b", 'Content-Disposition: form-data; name="f"; filename="a"', "", "x")
    end = b"\r\n--b--\r\n"

    async with served(tmp_path) as (server, _):
        some = await server.ask("POST", "/up", content=2 * nothing + rest + end, headers=typed)
        many = await server.ask("POST", "/up", content=1003 * nothing + rest + end, headers=typed)

    assert [file["text"] for file in some.json()["files"]] == ["x"]
    assert (many.status_code, error_of(many)["code"]) == (413, "request_too_large")


async def test_an_empty_file_is_one(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, _):
        answer = await server.ask("POST", "/up", data={"collection": "c"}, files={"f": ("empty.txt", b"")})

    assert [(file["name"], file["size"]) for file in answer.json()["files"]] == [("empty.txt", 0)]


async def test_a_form_of_many_bites_arrives_whole(tmp_path: Path) -> None:
    content = b"".join(bytes([place % 251]) * 997 + b"\r\n--b" for place in range(8000))

    async with served(tmp_path, Server(shutdown_grace_s=2.0, max_upload_bytes=2**30)) as (server, desk):
        desk.hold = asyncio.Event()
        asking = asyncio.create_task(
            server.ask("POST", "/up", data={"collection": "c"}, files={"f": ("a.bin", content)})
        )
        await asyncio.wait_for(desk.reached.wait(), 20)
        assert desk.seen[0].read_bytes() == content
        desk.hold.set()
        assert (await asking).status_code == 200

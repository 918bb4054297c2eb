import json
from pathlib import Path

import pytest

import lmx_sessions
from http_support import Served, error_of, serving
from lmx.config.schema import Security
from lmx_hookspecs.testing import check_plugin
from lmx_sessions.config import SessionsConfig
from lmx_sessions.routes import ROUTES
from session_support import ENTRY, FULL, ids, names, write


def test_the_plugin_keeps_the_contract() -> None:
    offers = check_plugin(lmx_sessions)

    assert [spec.name for spec in offers["lmx_surfaces"]] == ["sessions"]
    assert {(route.auth, route.shed) for route in ROUTES} == {("admin", False)}


async def test_sessions_are_listed_with_those_that_changed_last_first(server: Served) -> None:
    answer = (await server.ask("GET", "/admin/sessions")).json()

    assert [session["id"] for session in answer["sessions"]] == ["latest", "abc-1", "bare"]
    assert answer["total"] == 3
    assert answer["sessions"][1] == {
        "id": "abc-1",
        "title": "Tides",
        "model": "org/Big-Model",
        "tags": ["sea", "moon"],
        "created": "2026-01-01T10:00:00Z",
        "updated": "2026-01-03T10:00:00Z",
        "message_count": 4,
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?limit=1", ["latest"]),
        ("?limit=1&offset=1", ["abc-1"]),
        ("?offset=3", []),
        ("?model=BIG", ["latest", "abc-1"]),
        ("?tag=moon", ["abc-1"]),
        ("?tag=moo", []),
        ("?since=2026-01-03T10:00:00Z", ["latest", "abc-1"]),
        ("?since=2026-02-01T08:00:01", []),
        ("?tag=sea&model=org&since=2026-01-15", ["latest"]),
    ],
)
async def test_the_list_is_paged_and_filtered(server: Served, query: str, found: list[str]) -> None:
    assert await ids(server, query) == found


async def test_the_total_counts_what_other_pages_hold(server: Served) -> None:
    answer = (await server.ask("GET", "/admin/sessions?model=big&limit=1")).json()

    assert (len(answer["sessions"]), answer["total"]) == (1, 2)


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("?limit=0", "limit"),
        ("?limit=201", "limit"),
        ("?offset=-1", "offset"),
        ("?since=yesterday", "since"),
        ("?lmit=3", "lmit"),
        ("/search", "q"),
        ("/search?q=", "q"),
        ("/search?q=a&limit=101", "limit"),
    ],
)
async def test_a_parameter_out_of_range_is_named(server: Served, path: str, param: str) -> None:
    answer = await server.ask("GET", f"/admin/sessions{path}")

    assert answer.status_code == 400
    assert error_of(answer)["param"] == param


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=tides", ["abc-1", "latest"]),
        ("q=tides&limit=1", ["abc-1"]),
        ("q=BIG-model", ["latest", "abc-1"]),
        ("q=moon", ["abc-1"]),
        ("q=bar", ["bare"]),
        ("q=there+is+ebb", []),
        ("q=is+there+EBB", ["abc-1"]),
        ("q=Be+brief", []),
    ],
)
async def test_a_search_looks_at_the_headline_and_then_at_the_first_message(
    server: Served, query: str, found: list[str]
) -> None:
    answer = (await server.ask("GET", f"/admin/sessions/search?{query}")).json()

    assert [session["id"] for session in answer] == found


async def test_a_session_is_shown_with_its_messages(server: Served) -> None:
    answer = (await server.ask("GET", "/admin/sessions/abc-1")).json()

    assert (answer["cwd"], answer["tool_call_count"], answer["compacted"]) == ("/home/me", 1, True)
    assert answer["messages"][2] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1"}],
        "tool_call_id": None,
    }


async def test_what_a_file_leaves_out_is_empty(server: Served) -> None:
    answer = await server.ask("GET", "/admin/sessions/bare")

    assert answer.json() == {
        "id": "bare",
        "title": "",
        "model": "small",
        "tags": [],
        "created": "2026-01-02T10:00:00Z",
        "updated": "",
        "cwd": "",
        "messages": [],
        "tool_call_count": 0,
        "compacted": False,
    }


@pytest.mark.parametrize("wrapped", [True, False])
async def test_the_index_spares_reading_the_files(server: Served, folder: Path, *, wrapped: bool) -> None:
    entries = {"bare": ENTRY, "gone": ENTRY, "abc-1": {"title": "no count"}, "latest": None}
    write(folder / "index.json", {"entries": entries, "version": 1} if wrapped else entries)

    answer = (await server.ask("GET", "/admin/sessions")).json()

    assert [(session["title"], session["message_count"]) for session in answer["sessions"]] == [
        ("From the index", 9),
        ("Lists", 1),
        ("Tides", 4),
    ]


async def test_a_missing_folder_holds_no_sessions(folder: Path) -> None:
    async with serving(
        surfaces=lmx_sessions.lmx_surfaces(), config=SessionsConfig(directory=folder / "none")
    ) as server:
        answer = await server.ask("GET", "/admin/sessions")

    assert answer.json() == {"sessions": [], "total": 0}


async def test_a_deleted_session_leaves_the_folder_and_the_index(server: Served, folder: Path) -> None:
    index = {"entries": {"abc-1": ENTRY, "bare": ENTRY}, "version": 1}
    write(folder / "index.json", index)
    (folder / "index.json").chmod(0o600)

    deleted = await server.ask("DELETE", "/admin/sessions/abc-1")
    again = await server.ask("DELETE", "/admin/sessions/abc-1")

    assert deleted.json() == {"deleted": True}
    assert (again.status_code, error_of(again)["code"]) == (404, "session_not_found")
    assert names(folder) == {"bare.json", "index.json", "latest.json"}
    assert json.loads((folder / "index.json").read_text()) == {"entries": {"bare": ENTRY}, "version": 1}
    assert (folder / "index.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    "session_id",
    ["none", "..%2Fsecret", "%2e%2e%2fsecret", "..", "index", "abc-1.json", "a%00b", "a%20b", "%0aabc-1", "x" * 300],
)
async def test_an_id_that_is_none_is_not_found(server: Served, folder: Path, method: str, session_id: str) -> None:
    write(folder.parent / "secret.json", FULL)
    write(folder / "index.json", {})

    answer = await server.ask(method, f"/admin/sessions/{session_id}")

    assert answer.status_code == 404
    assert error_of(answer)["code"] in {"session_not_found", "not_found"}
    assert (folder.parent / "secret.json").exists()
    assert (folder / "index.json").exists()


async def test_a_link_that_leads_out_of_the_folder_is_not_followed(server: Served, folder: Path) -> None:
    write(folder.parent / "secret.json", FULL)
    (folder / "link.json").symlink_to(folder.parent / "secret.json")

    answers = [await server.ask(method, "/admin/sessions/link") for method in ("GET", "DELETE")]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert "link" not in await ids(server)


async def test_every_route_needs_the_admin_key(folder: Path) -> None:
    async with serving(
        surfaces=lmx_sessions.lmx_surfaces(),
        config=SessionsConfig(directory=folder),
        security=Security(admin_key="secret"),
    ) as server:
        refused = [await server.ask(route.method, f"{route.path}?limit=x") for route in ROUTES]

    assert {answer.status_code for answer in refused} == {403}

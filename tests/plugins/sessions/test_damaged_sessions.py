import errno
import json
from pathlib import Path
from typing import Any

import pytest

from http_support import Served, error_of
from session_support import ENTRY, LATEST, ids, names, write


@pytest.mark.parametrize(
    "broken",
    [
        "{",
        "[1]",
        "\ud83d",
        '{"a": ' * 2000,
        '{"a": ' * 600 + "1" + "}" * 600,
        '{"title": NaN}',
        '{"a": -Infinity}',
        '{"messages": [1e999]}',
    ],
)
async def test_a_broken_file_is_passed_over_and_logged(server: Served, folder: Path, broken: str) -> None:
    (folder / "broken.json").write_text(broken, errors="surrogatepass")

    listed, shown = await ids(server), await server.ask("GET", "/admin/sessions/broken")

    assert listed == ["latest", "abc-1", "bare"]
    assert error_of(shown)["code"] == "session_not_found"
    assert server.log.named("session_skipped")[0]["path"].endswith("broken.json")


async def test_half_a_surrogate_pair_stays_what_it_is(server: Served, folder: Path) -> None:
    odd = {**ENTRY, "title": "\ud83d"}
    write(folder / "index.json", {"abc-1": ENTRY, "bare": odd})
    write(folder / "latest.json", {**LATEST, "messages": [{"role": "user", "content": "\ud83d"}]})

    shown = await server.ask("GET", "/admin/sessions/latest")
    deleted = await server.ask("DELETE", "/admin/sessions/abc-1")

    assert (shown.status_code, deleted.status_code) == (200, 200)
    assert shown.json()["messages"][0]["content"] == "\ud83d"
    assert names(folder) == {"bare.json", "index.json", "latest.json"}
    assert json.loads((folder / "index.json").read_text()) == {"bare": odd}


async def test_a_damaged_session_or_index_does_not_keep_a_session_from_being_deleted(
    server: Served, folder: Path
) -> None:
    (folder / "bare.json").write_text('{"title": NaN}')
    (folder / "index.json").write_text('{"abc-1": NaN}')

    answers = [await server.ask("DELETE", f"/admin/sessions/{name}") for name in ("bare", "abc-1")]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert names(folder) == {"index.json", "latest.json"}


async def test_a_session_whose_index_cannot_be_written_stays(
    server: Served, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    write(folder / "index.json", {"abc-1": ENTRY})
    monkeypatch.setattr("lmx_sessions.store.NamedTemporaryFile", full)

    answer = await server.ask("DELETE", "/admin/sessions/abc-1")

    assert (answer.status_code, error_of(answer)["code"]) == (409, "conflict")
    assert names(folder) == {"abc-1.json", "bare.json", "index.json", "latest.json"}
    assert json.loads((folder / "index.json").read_text()) == {"abc-1": ENTRY}

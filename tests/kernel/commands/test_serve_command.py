"""What `lmx serve` refuses, and what it does at a hang-up."""

import asyncio
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kernel_support import Log
from lmx.commands.serve import YOUNG_OBJECTS, Ending, Hangup, refuse_open_door
from lmx.config import Config, read, resolve
from lmx.http.streaming import OpenRequests
from lmx.keys import FILE, KeyStore
from lmx_hookspecs import ReloadReport
from lmx_hookspecs.errors import ConfigError

BEYOND = "server: {host: 192.0.2.1}\n"
SETTLED = """
import gc, json
from lmx.commands.serve import settle

class Log:
    def debug(self, event, **facts):
        told.append({"event": event, **facts})

told = []
settle(Log())
print(json.dumps([*told, {"frozen": gc.get_freeze_count(), "young": gc.get_threshold()[0]}]))
"""


def config(folder: Path, text: str) -> Config:
    (folder / "00.yaml").write_text(text, encoding="utf-8")
    return resolve(read(folder, {}), {}, ())


@pytest.mark.parametrize(
    ("text", "stored", "missing"),
    [
        ("", {}, None),
        (BEYOND, {}, "security.api_keys"),
        (BEYOND + "security: {api_keys: [k]}", {}, "security.admin_key"),
        (BEYOND + "security: {api_keys: [k], admin_key: a}", {}, None),
        (BEYOND + "security: {admin_key: a}", {"bot": False}, None),
        (BEYOND, {"bot": False}, "security.admin_key"),
        (BEYOND, {"boss": True}, "security.api_keys"),
        (BEYOND, {"bot": False, "boss": True}, None),
    ],
)
def test_beyond_loopback_both_kinds_of_keys_are_needed_wherever_they_are(
    tmp_path: Path, text: str, stored: dict[str, bool], missing: str | None
) -> None:
    home = tmp_path / "home"
    for name, admin in stored.items():
        KeyStore(home / FILE).create(name, admin=admin)
    made = config(tmp_path, text)

    if missing is None:
        refuse_open_door(made, insecure=False, folder=home)
    else:
        with pytest.raises(ConfigError, match=f"{missing} is not set; .* `lmx keys create NAME --admin`"):
            refuse_open_door(made, insecure=False, folder=home)


def test_keys_that_are_not_used_do_not_count(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "home" / FILE)
    store.create("bot")
    store.create("boss", admin=True)
    made = config(tmp_path, BEYOND)

    with pytest.raises(ConfigError, match="is not set"):
        refuse_open_door(made, insecure=False, folder=None)

    refuse_open_door(made, insecure=True, folder=None)


def hangup(reload: Callable[[], Any], *, on_terminal: bool = False) -> tuple[Hangup, Ending, Log]:
    log = Log()
    ending = Ending(0.0, OpenRequests(), log)
    return Hangup(reload, ending, log, on_terminal), ending, log


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_hangup_reloads() -> None:
    reloads = []

    async def reload() -> ReloadReport:
        reloads.append(1)
        return ReloadReport()

    heard, ending, log = hangup(reload)

    heard.hear()
    heard.hear()
    await settled()

    assert len(reloads) == 2
    assert not ending.asked.is_set()
    assert log.lines == []


@pytest.mark.parametrize(
    ("error", "problems"),
    [(ConfigError("a.yaml:1: one\nb.yaml:2: two"), ["a.yaml:1: one", "b.yaml:2: two"]), (RuntimeError("bug"), None)],
)
async def test_a_reload_that_fails_is_logged_and_ends_nothing(error: Exception, problems: list[str] | None) -> None:
    async def reload() -> ReloadReport:
        raise error

    heard, ending, log = hangup(reload)

    heard.hear()
    await settled()

    (facts,) = log.named("config_reload_failed")
    assert facts.get("problems") == problems
    assert not ending.asked.is_set()


async def test_a_server_that_ends_does_not_reload() -> None:
    async def reload() -> ReloadReport:
        raise AssertionError

    heard, ending, log = hangup(reload)
    ending.asked.set()

    heard.hear()
    await settled()

    assert log.lines == []


async def test_a_terminal_that_is_still_there_means_a_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    reloads = []

    async def reload() -> ReloadReport:
        reloads.append(1)
        return ReloadReport()

    monkeypatch.setattr(sys, "stderr", Screen())
    heard, ending, _ = hangup(reload, on_terminal=True)

    heard.hear()
    await settled()

    assert reloads
    assert not ending.asked.is_set()


def test_a_process_that_settles_freezes_what_it_has_built_and_says_what_the_system_gave() -> None:
    done = subprocess.run([sys.executable, "-c", SETTLED], check=True, capture_output=True, text=True)
    told, state = json.loads(done.stdout)

    assert told["event"] == "settled"
    assert isinstance(told["short_slices"], bool)
    assert told["huge_pages"] >= 0
    assert state["frozen"] > 1000
    assert state["young"] == YOUNG_OBJECTS

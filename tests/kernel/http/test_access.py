import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from http_support import error_of, serving
from kernel_support import Log
from lmx.config.schema import Security
from lmx.config.server import Server
from lmx.http.access import Access, KeyFileWatch, access_of
from lmx.keys import KeyStore
from lmx_hookspecs import JsonResponse, Request, Response, Route
from lmx_hookspecs.errors import ConfigError, Forbidden, Unauthorized


@define
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@define
class Setting:
    """An access over a key file, and a clock that lets it look."""

    store: KeyStore
    clock: Clock
    log: Log

    def access(self, server: Server | None = None, security: Security | None = None) -> Access:
        watch = KeyFileWatch(self.store, self.log, self.clock)
        watch.read_first()
        return access_of(server or Server(), security or Security(), watch)

    async def look_again(self, access: Access) -> None:
        self.clock.now += 1.0
        await access.refresh()


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(KeyStore(tmp_path / "keys.yaml"), Clock(), Log())


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def name_of(access: Access, key: str) -> str | None:
    found = access.keys.check_api(bearer(key))
    return found.name if found else None


def test_keys_of_the_configuration_and_of_the_file_are_in_force(setting: Setting) -> None:
    made, boss = setting.store.create("laptop"), setting.store.create("boss", admin=True)

    access = setting.access(security=Security(api_keys=["configured"], admin_key="root"))

    assert [name_of(access, key) for key in (made, "configured")] == ["laptop", "key-1"]
    for key in (boss, "root"):
        access.keys.check_admin({"x-admin-key": key})
    with pytest.raises(Unauthorized):
        name_of(access, boss)
    with pytest.raises(Forbidden):
        access.keys.check_admin({"x-admin-key": made})


async def test_a_key_that_is_made_or_revoked_counts_within_a_second(setting: Setting) -> None:
    first = setting.store.create("first")
    access = setting.access()
    second = setting.store.create("second")
    setting.store.revoke("first")
    await access.refresh()
    early = name_of(access, first)

    await setting.look_again(access)

    assert early == "first"
    assert name_of(access, second) == "second"
    with pytest.raises(Unauthorized):
        name_of(access, first)


async def test_a_client_that_goes_away_while_keys_are_read_takes_no_change_with_it(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    access, may_read, read = setting.access(), threading.Event(), KeyStore.read

    def slowly(store: KeyStore) -> Any:
        may_read.wait(20)
        return read(store)

    key = setting.store.create("laptop")
    monkeypatch.setattr(KeyStore, "read", slowly)
    asking = asyncio.create_task(setting.look_again(access))
    await asyncio.sleep(0)
    asking.cancel()
    may_read.set()
    await asyncio.wait([asking])

    await setting.look_again(access)

    assert asking.cancelled()
    assert name_of(access, key) == "laptop"


async def test_the_first_key_closes_the_door(setting: Setting) -> None:
    access = setting.access()
    before = access.keys.check_api({})
    setting.store.create("laptop")

    await setting.look_again(access)

    assert before is None
    with pytest.raises(Unauthorized):
        access.keys.check_api({})


@pytest.mark.parametrize("spoil", ["keys: [", None])
async def test_a_file_that_breaks_or_goes_away_leaves_the_last_keys_in_force(
    setting: Setting, spoil: str | None
) -> None:
    key = setting.store.create("laptop")
    access = setting.access()
    setting.store.path.unlink() if spoil is None else setting.store.path.write_text(spoil)

    for _ in range(3):
        await setting.look_again(access)

    assert name_of(access, key) == "laptop"
    with pytest.raises(Unauthorized):
        access.keys.check_api({})
    assert len(setting.log.named("keys_not_read")) == 1
    assert key not in str(setting.log.lines)


async def test_a_file_that_is_mended_is_read_again(setting: Setting) -> None:
    setting.store.create("laptop")
    access = setting.access()
    good = setting.store.path.read_bytes()
    setting.store.path.write_text("keys: [")
    await setting.look_again(access)
    setting.store.path.write_bytes(good)
    other = setting.store.create("other")

    await setting.look_again(access)

    assert name_of(access, other) == "other"


def test_a_file_that_is_broken_at_the_start_is_an_error(setting: Setting) -> None:
    setting.store.path.write_text("keys: [")

    with pytest.raises(ConfigError, match=r"keys\.yaml:1: "):
        setting.access()


def test_a_file_that_others_can_read_is_made_private_with_a_warning(setting: Setting) -> None:
    setting.store.create("laptop")
    setting.store.path.chmod(0o640)

    setting.access()

    assert setting.store.path.stat().st_mode & 0o777 == 0o600
    assert setting.log.named("keys_were_readable")


async def test_on_loopback_no_key_is_an_open_door_but_not_where_others_can_reach_it(setting: Setting) -> None:
    for name, admin in (("laptop", False), ("boss", True)):
        setting.store.create(name, admin=admin)
    own, wide = setting.access(), setting.access(Server(host="0.0.0.0"))
    for name in ("laptop", "boss"):
        setting.store.revoke(name)

    setting.clock.now += 1.0
    await own.refresh()
    await wide.refresh()

    assert own.keys.check_api({}) is None
    own.keys.check_admin({})
    with pytest.raises(Unauthorized):
        wide.keys.check_api({})
    with pytest.raises(Forbidden):
        wide.keys.check_admin({})


def test_what_was_open_to_others_on_request_stays_so(setting: Setting) -> None:
    assert setting.access(Server(host="0.0.0.0")).keys.check_api({}) is None


def test_a_reload_takes_over_keys_and_the_lists_of_the_door(setting: Setting) -> None:
    made = setting.store.create("laptop")
    access = setting.access(security=Security(api_keys=["old"]))

    access.reconfigure(Security(api_keys=["new"]))
    access.reconfigure_server(Server(allowed_hosts=["ai.lan"], allowed_origins=["https://chat.lan"]))

    assert [name_of(access, key) for key in ("new", made)] == ["key-1", "laptop"]
    with pytest.raises(Unauthorized):
        name_of(access, "old")
    access.door.check("http", {"host": "ai.lan", "origin": "https://chat.lan"})


def test_once_the_file_holds_both_kinds_of_keys_any_host_may_ask(setting: Setting) -> None:
    setting.store.create("laptop")
    setting.store.create("boss", admin=True)

    setting.access().door.check("http", {"host": "ai.example.org"})


async def tell(_: Any, request: Request) -> Response:
    return JsonResponse(body=[request.key, request.priority])


async def test_a_running_server_takes_keys_over_and_lowers_priorities(setting: Setting) -> None:
    route = Route(method="GET", path="/who", handler=tell, summary="x")
    async with serving(route, access=setting.access()) as server:
        nobody = await server.ask("GET", "/who", headers={"X-Priority": "high"})
        low = setting.store.create("batch", priority="low")
        setting.clock.now += 1.0
        refused = await server.ask("GET", "/who")
        answers = [
            await server.ask("GET", "/who", headers={**bearer(low), "X-Priority": wanted})
            for wanted in ("high", "normal", "low")
        ]

    assert nobody.json() == [None, "high"]
    assert (refused.status_code, error_of(refused)["code"]) == (401, "invalid_api_key")
    assert [answer.json() for answer in answers] == [["batch", "low"]] * 3

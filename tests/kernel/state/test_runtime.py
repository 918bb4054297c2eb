import json
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from http_support import until
from kernel_support import Log
from lmx.private_files import replace_private
from lmx.state import LoadedModel, RuntimeState, keeper
from lmx.state.safe_mode import REASON

M = LoadedModel(id="org/m", keep_alive_s=60.0, pinned=True)
OTHER = LoadedModel(id="other")


@define
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@asynccontextmanager
async def run(
    folder: Path, clock: Callable[[], float], *, clean: bool = True, log: Log | None = None, **options: Any
) -> AsyncIterator[RuntimeState]:
    """One run of a server; without `clean` it ends as under `kill -9`."""
    state = RuntimeState(clock=clock)
    await state.open(folder, log or Log(), **options)
    yield state
    if clean:
        state.mark_clean()
    await state.close()


def on_disk(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "state.json").read_text())
    return content


async def test_a_start_is_on_disk_before_it_goes_on(tmp_path: Path, clock: Clock) -> None:
    async with run(tmp_path / "home", clock) as state:
        seen = on_disk(tmp_path / "home")

    assert (state.unclean, state.safe_mode, list(state.restorable())) == (False, False, [])
    assert (seen["clean"], seen["pid"], seen["saved_at"]) == (False, os.getpid(), 1_000_000.0)
    assert (tmp_path / "home" / "state.json").stat().st_mode & 0o777 == 0o600


async def test_every_change_is_on_disk(tmp_path: Path, clock: Clock) -> None:
    async with run(tmp_path, clock) as state:
        state.update(loaded_models=[M], url="http://127.0.0.1:1234")
        await state.flush()
        first = on_disk(tmp_path)
        state.update(quarantined={"bad": "died"}, downloads=[{"repo_id": "org/big"}], active_stack="evening")
        await state.flush()
        second = on_disk(tmp_path)

    assert (first["loaded_models"][0]["id"], first["url"]) == ("org/m", "http://127.0.0.1:1234")
    assert second["loaded_models"] == first["loaded_models"]
    assert (second["quarantined"], second["active_stack"]) == ({"bad": "died"}, "evening")


async def test_changes_during_a_write_are_one_more_write(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    may_write = threading.Event()

    def slowly(path: Path, data: bytes) -> None:
        written.append(data)
        may_write.wait(20)
        replace_private(path, data)

    async with run(tmp_path, clock) as state:
        monkeypatch.setattr(keeper, "replace_private", slowly)
        state.update(active_stack="the first")
        await until(lambda: len(written) == 1)
        for number in range(100):
            state.update(active_stack=f"stack {number}")
        may_write.set()
        await state.flush()

        assert on_disk(tmp_path)["active_stack"] == "stack 99"
        assert len(written) == 2


async def test_after_an_unclean_stop_the_models_can_be_loaded_again(tmp_path: Path, clock: Clock) -> None:
    async with run(tmp_path, clock, clean=False) as state:
        state.update(loaded_models=[M, OTHER], quarantined={"other": "its load keeps killing its worker"})

    async with run(tmp_path, clock) as state:
        assert (state.unclean, state.safe_mode) == (True, False)
        assert list(state.restorable()) == [M]
        assert state.previous.quarantined == {"other": "its load keeps killing its worker"}


async def test_a_second_crash_before_everything_is_back_forgets_nothing(tmp_path: Path, clock: Clock) -> None:
    async with run(tmp_path, clock, clean=False) as state:
        state.update(loaded_models=[M, OTHER])
    async with run(tmp_path, clock, clean=False) as state:
        state.update(loaded_models=[M])

    async with run(tmp_path, clock) as state:
        assert sorted(model.id for model in state.restorable()) == ["org/m", "other"]


async def test_what_was_loaded_again_or_failed_is_not_owed_any_more(tmp_path: Path, clock: Clock) -> None:
    async with run(tmp_path, clock, clean=False) as state:
        state.update(loaded_models=[M, OTHER])
    async with run(tmp_path, clock, clean=False) as state:
        state.update(loaded_models=[M])
        state.settled("other")
        state.update(loaded_models=[])

    async with run(tmp_path, clock) as state:
        assert (state.unclean, list(state.restorable())) == (True, [])


async def test_restoring_can_be_switched_off(tmp_path: Path, clock: Clock) -> None:
    async with run(tmp_path, clock, clean=False) as state:
        state.update(loaded_models=[M])

    async with run(tmp_path, clock, restore=False) as state:
        assert (state.unclean, list(state.restorable())) == (True, [])


async def test_after_a_clean_stop_nothing_is_restored_but_the_stack_is_known(tmp_path: Path, clock: Clock) -> None:
    async with run(tmp_path, clock) as state:
        state.update(loaded_models=[M], active_stack="evening", quarantined={"bad": "died"})

    async with run(tmp_path, clock) as state:
        assert (state.unclean, list(state.restorable())) == (False, [])
        assert (state.previous.active_stack, state.previous.quarantined) == ("evening", {})


async def test_models_that_are_unloaded_because_the_server_stops_stay_recorded(tmp_path: Path, clock: Clock) -> None:
    async with run(tmp_path, clock, clean=False) as state:
        state.update(loaded_models=[M])
        state.freeze()
        state.update(loaded_models=[])  # and then the machine loses its power

    async with run(tmp_path, clock) as state:
        assert list(state.restorable()) == [M]


async def test_the_third_unclean_start_within_a_minute_is_safe_mode(tmp_path: Path, clock: Clock) -> None:
    log, safe = Log(), []
    for _ in range(4):
        async with run(tmp_path, clock, clean=False, log=log) as state:
            safe.append((state.safe_mode, len(state.restorable())))
            state.update(loaded_models=[M])
        clock.now += 10

    assert safe == [(False, 0), (False, 1), (False, 1), (True, 0)]
    assert on_disk(tmp_path)["safe_mode"]
    assert state.health().detail == REASON
    assert log.named("safe_mode") == [{"reason": REASON}]


async def test_a_clean_stop_ends_safe_mode(tmp_path: Path, clock: Clock) -> None:
    for clean in (False, False, False, True):
        async with run(tmp_path, clock, clean=clean):
            clock.now += 1

    async with run(tmp_path, clock, clean=False) as after:
        clock.now += 1
    async with run(tmp_path, clock) as next_one:
        pass

    assert not after.safe_mode
    assert (next_one.unclean, next_one.safe_mode) == (True, False)


async def test_clean_restarts_however_many_are_never_safe_mode(tmp_path: Path, clock: Clock) -> None:
    for _ in range(6):
        async with run(tmp_path, clock) as state:
            assert not state.safe_mode


async def test_crashes_over_a_longer_time_are_not_safe_mode(tmp_path: Path, clock: Clock) -> None:
    for _ in range(6):
        async with run(tmp_path, clock, clean=False) as state:
            assert not state.safe_mode
        clock.now += 31


@pytest.mark.parametrize("content", [b"", b'{"version": 1, "clean": fal', b'{"version": 99}'])
async def test_a_state_that_cannot_be_read_is_set_aside(tmp_path: Path, clock: Clock, content: bytes) -> None:
    log = Log()
    (tmp_path / "state.json").write_bytes(content)

    async with run(tmp_path, clock, log=log) as state:
        assert (state.unclean, state.safe_mode) == (False, False)

    assert (tmp_path / "state.json.corrupt-1000000").read_bytes() == content
    assert log.named("state_set_aside")
    assert on_disk(tmp_path)["clean"]


async def test_the_second_server_of_a_folder_keeps_no_state_and_goes_on(tmp_path: Path, clock: Clock) -> None:
    log = Log()
    async with run(tmp_path, clock) as first:
        first.update(loaded_models=[M])
        async with run(tmp_path, clock, log=log) as second:
            second.update(loaded_models=[OTHER])
            await second.flush()
            await first.flush()
            seen = on_disk(tmp_path)

    assert [model["id"] for model in seen["loaded_models"]] == ["org/m"]
    assert log.named("state_not_kept")[0]["kept_by_pid"] == os.getpid()
    assert (second.unclean, second.health().ok) == (False, True)


async def test_a_folder_that_cannot_be_written_is_told_once_and_tried_again(tmp_path: Path, clock: Clock) -> None:
    log, blocked = Log(), tmp_path / "file"
    blocked.write_text("where the folder should be")

    async with run(blocked, clock, log=log) as state:
        state.update(loaded_models=[M])
        await state.flush()
        ill = state.health()
        blocked.unlink()
        await state.flush()
        well, seen = state.health(), on_disk(blocked)

    assert not ill.ok
    assert str(blocked) in ill.detail
    assert len(log.named("state_not_kept")) == 1
    assert log.named("state_kept_again") == [{"folder": str(blocked)}]
    assert well.ok
    assert seen["loaded_models"][0]["id"] == "org/m"


async def test_a_state_that_was_never_opened_keeps_nothing() -> None:
    state = RuntimeState()

    state.update(loaded_models=[M])
    state.mark_clean()
    await state.close()

    assert state.health().ok
    assert state.describe()["folder"] is None


async def test_a_disk_that_hangs_is_not_waited_for_longer_than_one_wants(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_write, log = threading.Event(), Log()

    def slowly(path: Path, data: bytes) -> None:
        may_write.wait(20)
        replace_private(path, data)

    async with run(tmp_path, clock, log=log) as state:
        monkeypatch.setattr(keeper, "replace_private", slowly)
        state.update(active_stack="evening")
        await state.flush(within_s=0.01)
        late = on_disk(tmp_path)["active_stack"]
        may_write.set()
        await state.flush(within_s=20)

        assert (late, on_disk(tmp_path)["active_stack"]) == (None, "evening")
    assert log.named("state_is_late") == [{"folder": str(tmp_path), "waited_s": 0.01}]

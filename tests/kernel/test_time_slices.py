import json
import os
import platform
import subprocess
import sys

import pytest

from lmx import time_slices

ASKED = """
import json, os, threading
from lmx import time_slices

def slice_ns():
    return time_slices._attributes().runtime_ns

found = {"before": slice_ns(), "shortened": time_slices.shorten(), "after": slice_ns(), "nice": os.nice(0)}
thread = threading.Thread(target=lambda: found.update(thread=slice_ns()))
thread.start()
thread.join()
if child := os.fork():
    found["child_is_as_before"] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    print(json.dumps(found))
else:
    os._exit(0 if slice_ns() == found["before"] else 1)
"""
HAS_SLICES = (
    sys.platform == "linux"
    and platform.machine() in time_slices.CALLS
    and time_slices.release_of(os.uname().release) >= time_slices.FIRST_RELEASE
)


def in_a_process_of_its_own(program: str, *, nice: int = 0) -> dict[str, int]:
    """What it prints: the slices of the process that runs the tests stay as they are."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.nice(nice) and None,
    )
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(not HAS_SLICES, reason="this system has no slices to choose")
def test_this_thread_gets_shorter_slices_and_what_it_starts_the_usual_ones() -> None:
    found = in_a_process_of_its_own(ASKED)

    assert found["shortened"]
    assert found["after"] == time_slices.SLICE_NS
    assert found["thread"] == found["before"]
    assert found["child_is_as_before"]


@pytest.mark.skipif(not HAS_SLICES, reason="this system has no slices to choose")
def test_a_lower_priority_that_somebody_gave_it_stays() -> None:
    found = in_a_process_of_its_own(ASKED, nice=5)

    assert (found["shortened"], found["nice"]) == (True, 5)


@pytest.mark.parametrize(
    ("name", "release"),
    [("6.18.44-custom", (6, 18)), ("6.12.0+", (6, 12)), ("6.8.0-90-generic", (6, 8)), ("unknown", ())],
)
def test_the_release_is_read_from_its_name(name: str, release: tuple[int, ...]) -> None:
    assert time_slices.release_of(name) == release


def test_an_older_system_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(time_slices, "FIRST_RELEASE", (99, 0))
    monkeypatch.setattr(time_slices, "_call", lambda *_: pytest.fail("it was asked"))

    assert not time_slices.shorten()


def test_neither_is_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(time_slices, "_call", lambda *_: pytest.fail("it was asked"))

    assert not time_slices.shorten()


@pytest.mark.skipif(not HAS_SLICES, reason="this system has no slices to choose")
def test_a_sandbox_that_forbids_it_changes_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_slices, "_call", lambda *_: False)

    assert not time_slices.shorten()

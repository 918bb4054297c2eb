import os
import subprocess
import sys
from pathlib import Path

import pytest

from lmx.private_files import replace_private
from lmx.state import BadState, Document, next_start_is_safe_mode, recorded, running_server
from lmx.state.document import encode

URL = "http://127.0.0.1:4321"


def left(folder: Path, **facts: object) -> None:
    replace_private(folder / "state.json", encode(Document(**facts)))  # type: ignore[arg-type]


def ended_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_server_is_found_while_it_runs(tmp_path: Path) -> None:
    found = []
    for facts in (
        {"clean": False, "pid": os.getpid(), "url": URL},
        {"clean": False, "pid": ended_pid(), "url": URL},
        {"clean": True, "pid": os.getpid(), "url": None},
        {"clean": False, "pid": 0, "url": URL},
    ):
        left(tmp_path, **facts)
        found.append(running_server(tmp_path))

    assert found == [URL, None, None, None]


def test_without_a_state_that_can_be_read_there_is_no_server(tmp_path: Path) -> None:
    nothing = running_server(tmp_path)
    (tmp_path / "state.json").write_text("torn")

    assert nothing is None
    assert running_server(tmp_path) is None
    assert recorded(tmp_path / "missing") is None
    with pytest.raises(BadState):
        recorded(tmp_path)


def test_whether_the_next_start_would_be_safe_mode_can_be_told_before() -> None:
    twice = Document(clean=False, unclean_starts=(100.0, 110.0))

    assert next_start_is_safe_mode(twice, 120.0)
    assert not next_start_is_safe_mode(twice, 165.0)
    assert not next_start_is_safe_mode(Document(clean=True, unclean_starts=(100.0, 110.0)), 120.0)

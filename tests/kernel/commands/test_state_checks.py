import os
import time
from pathlib import Path
from typing import Any

import pytest

from lmx.commands import state_checks
from lmx.commands.findings import Finding, Verdict
from lmx.keys import KeyStore
from lmx.private_files import replace_private
from lmx.state import Document, LoadedModel
from lmx.state.document import encode

NOBODY = 2**22 + 1
"""No process has this id: Linux ends at 2^22, macOS far below."""


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "home"


def seen_of(folder: Path, **facts: Any) -> Finding:
    """What is found where a server has left this."""
    replace_private(folder / "state.json", encode(Document(**facts)))
    (finding,) = state_checks.state()
    return finding


def test_a_folder_without_a_server_is_fine(folder: Path) -> None:
    (state,), (keys,) = state_checks.state(), state_checks.keys()

    assert (state.verdict, keys.verdict) == (Verdict.OK, Verdict.OK)
    assert keys.seen == f"0 for /v1 and 0 for /admin in {folder / 'keys.yaml'}"


def test_a_clean_stop_and_a_running_server_are_fine(folder: Path) -> None:
    clean = seen_of(folder, clean=True, pid=NOBODY)
    running = seen_of(folder, clean=False, pid=os.getpid(), url="http://127.0.0.1:1")

    assert (clean.verdict, clean.seen) == (Verdict.OK, "the last server stopped cleanly")
    assert (running.verdict, "http://127.0.0.1:1" in running.seen) == (Verdict.OK, True)


def test_safe_mode_is_told_with_what_to_do(folder: Path) -> None:
    finding = seen_of(folder, clean=False, pid=os.getpid(), safe_mode=True)

    assert finding.verdict is Verdict.WARN
    assert "safe mode" in finding.seen
    assert "lmx load" in finding.advice


def test_an_unclean_stop_is_told_with_what_the_next_start_does(folder: Path) -> None:
    models = [LoadedModel(id="org/m")]
    once = seen_of(folder, clean=False, pid=NOBODY, loaded_models=models)
    again = seen_of(folder, clean=False, pid=NOBODY, loaded_models=models, unclean_starts=[time.time() - 5] * 2)

    assert (once.verdict, again.verdict) == (Verdict.WARN, Verdict.WARN)
    assert "loads again: org/m" in once.advice
    assert "a start now is one in safe mode" in again.seen


def test_files_that_cannot_be_used_are_told(folder: Path) -> None:
    folder.mkdir()
    (folder / "state.json").write_text("torn")
    (folder / "keys.yaml").write_text("keys: [")

    (state,), (keys,) = state_checks.state(), state_checks.keys()

    assert (state.verdict, state.seen[:22]) == (Verdict.WARN, "state.json is not JSON")
    assert keys.verdict is Verdict.FAIL
    assert "keys.yaml:1: " in keys.seen


def test_keys_that_others_can_read_are_a_warning(folder: Path) -> None:
    store = KeyStore(folder / "keys.yaml")
    store.create("laptop")
    (private,) = state_checks.keys()
    store.path.chmod(0o644)

    (finding,) = state_checks.keys()

    assert private.seen == f"1 for /v1 and 0 for /admin in {store.path}"
    assert (finding.verdict, finding.advice) == (Verdict.WARN, f"chmod 600 {store.path}")

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_rag_server import FakeRag, fake_rag
from lmx.cli import main


@pytest.fixture
def rag() -> Iterator[FakeRag]:
    with fake_rag() as fake:
        yield fake


@pytest.fixture
def lmx_rag(rag: FakeRag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs `lmx rag` against the fake server, and gives the exit status."""
    monkeypatch.setenv("LMX_HOME", str(tmp_path / "home"))
    (tmp_path / "config.d").mkdir()

    def run(*words: str | Path) -> int:
        return main(["--config-dir", str(tmp_path / "config.d"), "rag", *map(str, words), "--url", rag.url])

    return run


@pytest.fixture
def lmx_rag_json(lmx_rag: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """What it prints with `--json`."""

    def run(*words: str | Path) -> Any:
        capsys.readouterr()
        lmx_rag(*words, "--json")
        return json.loads(capsys.readouterr().out)

    return run

import io
import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving import Server, served

PATIENT = {"models": {"inference_timeout_sec": 60}, "workers": {"start_timeout_s": 60.0}}
"""Shorter limits than the commands' own, which are made for large models."""
ECHO = {"plugins": {"echo": {"enabled": True}}, **PATIENT}


@pytest.fixture(scope="session")
def echo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real server whose models repeat what they are told, for tests that leave it as they found it."""
    with served(tmp_path_factory.mktemp("echo-server"), ECHO) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without models, keys or data of its own."""
    for name in ("LMX_API_KEY", "LMX_ADMIN_KEY", "LMX_CONFIG_DIR", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LMX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken, and at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def config_dir(home: Path, closed_port: int) -> Callable[..., Path]:
    """Writes a configuration whose server does not run, and gives its folder."""

    def write(**sections: Any) -> Path:
        folder = home / "config.d"
        folder.mkdir()
        (folder / "00.yaml").write_text(json.dumps({"server": {"port": closed_port}, **PATIENT, **sections}))
        return folder

    return write


@pytest.fixture
def pipe_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Puts bytes on standard input."""

    def pipe(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return pipe

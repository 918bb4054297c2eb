from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import lmx_sessions
from http_support import Served, serving
from lmx_sessions.config import SessionsConfig
from session_support import BARE, FULL, LATEST, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "sessions"
    path.mkdir()
    for name, data in {"abc-1": FULL, "bare": BARE, "latest": LATEST}.items():
        write(path / f"{name}.json", data)
    return path


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[Served]:
    config = SessionsConfig(directory=folder)
    async with serving(surfaces=lmx_sessions.lmx_surfaces(), config=config) as running:
        yield running

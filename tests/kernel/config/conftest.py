from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmx.config import Config, read
from lmx.config.reload import Sources, anything
from reload_support import SPECS, Running, Start


@pytest.fixture
def start(tmp_path: Path) -> Start:
    def started(text: str = "", accept: Callable[[Config], None] = anything, **how: Any) -> Running:
        folder = tmp_path / "config.d"
        folder.mkdir()
        (folder / "00.yaml").write_text(text, encoding="utf-8")
        flags, environment = how.get("flags", {}), how.get("environment", {})
        sources = Sources(
            flags=flags,
            environment=environment,
            plugin_specs=SPECS,
            installed=frozenset({*SPECS, "off"}),
            off_by_default=frozenset({"off"}),
            accept=accept,
        )
        return Running(folder, sources, sources.resolved(read(folder, environment, flags)))

    return started

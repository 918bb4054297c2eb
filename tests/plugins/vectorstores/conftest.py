from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's files are kept."""
    folder = tmp_path / "home"
    monkeypatch.setenv("LMX_HOME", str(folder))
    return folder

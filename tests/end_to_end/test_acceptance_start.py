"""What the server does not start with: each bad value is named, with the file that it stands in."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lmx.cli import main

BAD = [
    ("server.port", 70000),
    ("server.port", -1),
    ("server.workers", 0),
    ("server.workers", 2),
    ("memory.max_memory_percent", 10),
    ("memory.max_memory_percent", 101),
    ("models.kv_bits", 3),
    ("models.max_concurrent_requests", 0),
    ("models.max_concurrent_requests", 65),
    ("models.inference_timeout_sec", 5),
    ("logging.level", "TRACE"),
    ("logging.format", "json"),
    ("scheduling.policy", ""),
    ("plugins.priority.max_queue", -1),
    ("helper_nodes.embedding.fallback", "retry"),
]


def written(folder: Path, key: str, value: Any) -> Path:
    """A configuration with this value; JSON is YAML."""
    for part in reversed(key.split(".")):
        value = {part: value}
    folder.mkdir()
    (folder / "50-bad.yaml").write_text(json.dumps(value))
    return folder


@pytest.mark.parametrize(("key", "value"), BAD)
def test_a_value_out_of_range_is_refused_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, value: Any
) -> None:
    folder = written(tmp_path / "config.d", key, value)

    status = main(["--config-dir", str(folder), "config", "check"])

    told = capsys.readouterr()
    assert status == 1
    assert f"50-bad.yaml:1: {key}:" in told.out + told.err


@pytest.mark.parametrize(("key", "value"), [("memory.max_memory_percent", 101), ("logging.level", "TRACE")])
def test_a_server_with_a_bad_value_does_not_start(tmp_path: Path, key: str, value: Any) -> None:
    folder = written(tmp_path / "config.d", key, value)

    ended = subprocess.run(
        [sys.executable, "-m", "lmx", "--config-dir", str(folder), "serve", "--port", "0"],
        env={**os.environ, "LMX_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 1
    assert f"50-bad.yaml:1: {key}:" in ended.stderr
    assert "listening" not in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_bad_value_of_the_environment_is_named_by_its_variable(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "lmx", "serve"],
        cwd=tmp_path,
        env={**os.environ, "LMX_HOME": str(tmp_path / "home"), "LMX_SERVER__PORT": "70000"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 1
    assert "LMX_SERVER__PORT" in ended.stderr

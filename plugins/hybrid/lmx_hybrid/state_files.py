"""Small files beside an index that say how far it has followed the database. Each appears whole or not at all."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_whole(file: Path, data: bytes) -> None:
    """Write it beside its place, to the disk, and move it there."""
    temporary = file.with_name(f"{file.name}.partial")
    with temporary.open("wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())
    temporary.replace(file)


def write_state(file: Path, state: Mapping[str, Any]) -> None:
    """As JSON."""
    write_whole(file, json.dumps(state).encode())


def read_state(file: Path) -> Mapping[str, Any]:
    """What it says; nothing where there is none, or none that can be read."""
    try:
        state = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}

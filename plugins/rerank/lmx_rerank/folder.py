"""What the files of a model say of it, read before any library guesses: a missing head would be made up at random."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LENGTH_BYTES = 8
MOST_HEADER_BYTES = 100 * 2**20
"""The most that a header of safetensors may have: https://github.com/huggingface/safetensors#format."""


def config_of(folder: Path) -> Mapping[str, Any]:
    """Its config.json; raises ValueError where that is not one, and for a model that brings its own code."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{folder} holds no config.json") from None
    if not isinstance(config, dict):
        raise ValueError("config.json is not a JSON object")  # noqa: TRY004  the file's fault, not a caller's
    return config


def shapes_of(folder: Path) -> Mapping[str, Sequence[int]]:
    """The shape of each tensor in its safetensors files, by name; raises ValueError where there are none."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ValueError(f"{folder} holds no weights as safetensors, and LMX opens no others")
    return {name: facts["shape"] for file in files for name, facts in _header(file).items() if name != "__metadata__"}


def _header(file: Path) -> Mapping[str, Any]:
    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(LENGTH_BYTES), "little")
        text = stream.read(size) if size <= MOST_HEADER_BYTES else b""
    if len(text) != size:
        raise ValueError(f"{file.name} ends within its header: it is damaged, or not complete")
    header: Mapping[str, Any] = json.loads(text)
    return header

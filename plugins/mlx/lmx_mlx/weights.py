"""Safetensors headers, read without MLX: how large weights are, and would be as float32."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

LONGEST_HEADER_BYTES = 100 * 1024 * 1024
"""The format's own bound."""


def float32_bytes(folder: Path) -> int:
    """Bytes of a model's tensors once 16-bit floats are float32; 0 where no header can be read.

    Format: https://huggingface.co/docs/safetensors (eight bytes of length, then a JSON header).
    """
    return sum(_tensor_bytes(tensor) for path in folder.glob("model*.safetensors") for tensor in _tensors(path))


def is_quantised(folder: Path) -> bool:
    """Whether the model's configuration says that its weights are quantised."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and ("quantization" in config or "quantization_config" in config)


def _tensor_bytes(tensor: Mapping[str, Any]) -> int:
    start, end = tensor["data_offsets"]
    is_16_bit_float = tensor["dtype"] in {"F16", "BF16"}
    return int(end - start) * (2 if is_16_bit_float else 1)


def _tensors(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length <= LONGEST_HEADER_BYTES else {}
    except (OSError, ValueError):
        return  # loading such a file fails with its own message
    yield from (tensor for name, tensor in header.items() if name != "__metadata__")

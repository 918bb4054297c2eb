"""Safetensors headers, read without MLX: how large weights are once they are loaded, and their type."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from lmx_hookspecs import model_kinds

LONGEST_HEADER_BYTES = 100 * 1024 * 1024
"""The format's own bound."""
FLOAT_BYTES: Mapping[str, int] = {"F16": 2, "BF16": 2, "F32": 4}
FLOAT32_BYTES = 4
POOLING = Path("1_Pooling") / "config.json"


@frozen
class Tensor:
    """What a header says of one tensor."""

    dtype: str
    shape: Sequence[int]
    size_bytes: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def loaded_bytes(self) -> int:
        """Once mlx-lm has loaded it: 8-bit floats become bfloat16."""
        return self.size_bytes * 2 if self.dtype.startswith("F8_E4M3") else self.size_bytes

    @property
    def float32_bytes(self) -> int:
        """Once its floats are float32."""
        return self.elements * FLOAT32_BYTES if self.dtype in FLOAT_BYTES else self.size_bytes


def tensors_of(folder: Path) -> list[Tensor]:
    """All tensors of a model; none where no header can be read: loading such a file fails with its own message.

    Format: https://huggingface.co/docs/safetensors (eight bytes of length, then a JSON header).
    """
    return [tensor for path in sorted(folder.glob("model*.safetensors")) for tensor in _tensors(path)]


def float_type(tensors: Sequence[Tensor]) -> str:
    """The float type that most bytes are in; empty where there is none."""
    bytes_of = Counter[str]()
    for tensor in tensors:
        if tensor.dtype in FLOAT_BYTES:
            bytes_of[tensor.dtype] += tensor.size_bytes
    return max(bytes_of, key=bytes_of.__getitem__, default="")


def read_config(folder: Path) -> Mapping[str, Any]:
    """The model's `config.json`; empty where it cannot be read."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def is_quantised(config: Mapping[str, Any]) -> bool:
    """Whether the model's configuration says that its weights are quantised."""
    return "quantization" in config or "quantization_config" in config


def makes_embeddings(folder: Path) -> bool:
    """Whether the folder holds an encoder, or the files of sentence-transformers that say how to make a vector."""
    return model_kinds.makes_embeddings(read_config(folder), [path.name for path in folder.iterdir()])


def _tensors(path: Path) -> Iterator[Tensor]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length <= LONGEST_HEADER_BYTES else {}
    except (OSError, ValueError):
        return
    for name, facts in header.items():
        if name != "__metadata__":
            start, end = facts["data_offsets"]
            yield Tensor(facts["dtype"], facts["shape"], end - start)

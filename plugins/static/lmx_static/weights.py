"""Reads safetensors with NumPy alone: a length, a JSON header, then the bytes of each tensor.

https://github.com/huggingface/safetensors#format
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DTYPES: Mapping[str, np.dtype[Any]] = {"I8": np.dtype("<i1"), "F32": np.dtype("<f4")}
LENGTH_BYTES = 8


def read_tensors(path: Path) -> Mapping[str, NDArray[Any]]:
    """The tensors of a file by name; raises ValueError for a file that does not hold what its header says."""
    data = path.read_bytes()
    header_bytes = int.from_bytes(data[:LENGTH_BYTES], "little")
    start = LENGTH_BYTES + header_bytes
    if len(data) < start:
        raise ValueError(f"{path.name} ends within its header: it is damaged, or not complete")
    header = json.loads(data[LENGTH_BYTES:start])
    return {name: _tensor(path, name, facts, data, start) for name, facts in header.items() if name != "__metadata__"}


def _tensor(path: Path, name: str, facts: Mapping[str, Any], data: bytes, start: int) -> NDArray[Any]:
    dtype = DTYPES.get(facts["dtype"])
    if dtype is None:
        raise ValueError(f"{path.name} holds {name} as {facts['dtype']}; known are {', '.join(DTYPES)}")
    begin, end = facts["data_offsets"]
    if not 0 <= begin <= end <= len(data) - start:
        raise ValueError(f"{path.name} ends before {name}: it is damaged, or not complete")
    values: NDArray[Any] = np.frombuffer(data[start + begin : start + end], dtype)
    return values.reshape(facts["shape"])

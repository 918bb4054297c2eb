"""What the numbers in a KV cache depend on beside the tokens: weights, adapter, number formats, versions."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

SAMPLES = 64
SAMPLE_BYTES = 4096
WHOLE_BELOW_BYTES = 4 * 1024 * 1024
READ_BY = ("*.safetensors", "config.json", "adapter_config.json")


def identity_of(folders: Sequence[Path], facts: Mapping[str, Any]) -> str:
    """One word for the model and adapter in `folders`, loaded as `facts` say, by these versions of MLX and mlx-lm.

    Of a large file it reads the beginning, the end and samples between, and takes in its size and time: whoever changes
    weights in place changes the time, and reading all of them would double the time of a load.
    """
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for package in ("mlx", "mlx-lm"):
        digest.update(f"{package} {metadata.version(package)}".encode())
    for folder in folders:
        for path in _files(folder):
            digest.update(_sample(path))
    return digest.hexdigest()[:32]


def _files(folder: Path) -> Iterator[Path]:
    return (path for pattern in READ_BY for path in sorted(folder.glob(pattern)))


def _sample(path: Path) -> bytes:
    facts = path.stat()
    digest = hashlib.sha256(f"{path.name} {facts.st_size} ".encode())
    with path.open("rb") as file:
        if facts.st_size <= WHOLE_BELOW_BYTES:
            digest.update(file.read())
            return digest.digest()
        digest.update(str(facts.st_mtime_ns).encode())
        for number in range(SAMPLES):
            file.seek((facts.st_size - SAMPLE_BYTES) * number // (SAMPLES - 1))
            digest.update(file.read(SAMPLE_BYTES))
    return digest.digest()

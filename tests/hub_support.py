"""A hub's cache and a request for tests of downloads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import define, field

from lmx_hookspecs import DownloadRequest
from lmx_hookspecs.testing import FakeContext
from lmx_hub.config import HubConfig

WEIGHTS = bytes(range(256)) * 4096
"""A megabyte."""
MODEL = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b'{"version": "1.0"}' * 100,
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": WEIGHTS,
    "modeling.py": b"raise SystemExit",
    "README.md": b"# a model",
}
FETCHED = ("config.json", "model.safetensors", "tokenizer.json")


@define
class Reports:
    """A Progress that keeps what it was told, and may do something then."""

    facts: list[dict[str, float]] = field(factory=list)
    then: Callable[[dict[str, float]], None] = lambda _facts: None

    def __call__(self, fraction: float, note: str = "", **facts: float) -> None:  # noqa: ARG002  the protocol's signature
        self.facts.append({"fraction": fraction, **facts})
        self.then(self.facts[-1])


def context(**config: Any) -> FakeContext:
    """The plugin hub's context."""
    return FakeContext(config=HubConfig(**config))


def request(repo_id: str = "org/name", **fields: Any) -> DownloadRequest:
    return DownloadRequest(repo_id=repo_id, **fields)


def snapshot_files(path: Path) -> dict[str, bytes]:
    """Contents of a snapshot by name."""
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}

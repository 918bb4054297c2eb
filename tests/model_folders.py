"""Model folders for tests of model sources: the right files with next to nothing in them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from lmx_hookspecs.testing import FakeContext, FakeServices


@frozen
class ModelsSection:
    """The keys of the section `models` that sources read."""

    directories: Sequence[Path] = ()


@frozen
class FixedConfig:
    """A config service with the section `models` alone."""

    models: ModelsSection

    def section(self, name: str) -> ModelsSection:
        assert name == "models"
        return self.models

    def plain(self) -> Mapping[str, Any]:
        return {}


def context_of(*directories: Path) -> FakeContext:
    """A context whose configuration names these folders."""
    return FakeContext(services=FakeServices(config=FixedConfig(ModelsSection(directories))))


def safetensors_model(folder: Path, size_bytes: int = 10, **config: Any) -> Path:
    """A folder in the Hugging Face layout."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **config}))
    (folder / "model.safetensors").write_bytes(bytes(size_bytes))
    return folder


def gguf_file(path: Path, size_bytes: int = 10) -> Path:
    """A GGUF file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size_bytes))
    return path

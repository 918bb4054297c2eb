"""LoRA adapters: each that `models.settings.<id>.adapters` names makes a model of its own, `<id>:<name>`."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from lmx_hookspecs import ModelInfo
from lmx_hookspecs.errors import InvalidRequest

SETTING = "adapters"
WEIGHTS = (".safetensors", ".gguf", ".npz")

Entries = Mapping[str, Mapping[str, Any]]
"""`models.settings`, by model id."""


@frozen(kw_only=True)
class Adapter:
    """An adapter as it is configured; whether there is such a model, and such a file, is another matter."""

    base: str
    """Id of the model that it is made for."""
    name: str
    path: Path
    """A folder, or one file."""

    @property
    def id(self) -> str:
        """Of the model that it makes."""
        return f"{self.base}:{self.name}"

    @property
    def key(self) -> str:
        """Where it is configured."""
        return f"models.settings.{self.base}.{SETTING}.{self.name}"


def adapters_of(entries: Entries) -> Iterator[Adapter]:
    """Every adapter that is configured."""
    for base, entry in entries.items():
        for name, path in (entry.get(SETTING) or {}).items():
            # Path.expanduser raises for a home that nobody has, and the others must be listed all the same.
            yield Adapter(base=base, name=name, path=Path(os.path.expanduser(path)))  # noqa: PTH111


def adapter_of(model_id: str, entries: Entries) -> Adapter | None:
    """The adapter that makes the model of that id; None for every other id, with a colon in it or without."""
    if ":" not in model_id:
        return None
    return next((adapter for adapter in adapters_of(entries) if adapter.id == model_id), None)


def entry_of(model_id: str, entries: Entries) -> Mapping[str, Any]:
    """What `models.settings` says of a model; one with an adapter inherits what is said of its base."""
    adapter = adapter_of(model_id, entries)
    own = entries.get(model_id, {})
    if adapter is None:
        return own
    inherited = {**entries.get(adapter.base, {}), **own}
    return {name: value for name, value in inherited.items() if name != SETTING}


def adapted(base: ModelInfo, adapter: Adapter) -> ModelInfo:
    """The base with the adapter on it, still with the settings of the base."""
    return evolve(
        base,
        id=adapter.id,
        adapter=adapter.path,
        builtin=False,
        details={**base.details, "base": base.id, "adapter": adapter.name},
    )


def flaw_of(adapter: Adapter | None) -> str | None:
    """Why the model of that adapter cannot be loaded, for operators; looks at the disk."""
    if adapter is None or os.path.exists(adapter.path):  # noqa: PTH110  Path.exists raises for odd names
        return None
    return f"its adapter is missing: there is no {adapter.path}; mend {adapter.key}"


def flaws_of(entries: Entries) -> dict[str, str]:
    """The same for all of them, by model id."""
    return {adapter.id: flaw for adapter in adapters_of(entries) if (flaw := flaw_of(adapter))}


def size_bytes(path: Path | None) -> int:
    """Bytes of an adapter's weights; 0 for none. Raises InvalidRequest where they cannot be read."""
    if path is None:
        return 0
    try:
        return sum(file.stat().st_size for file in _weights(path))
    except OSError as error:
        told = "the files of its adapter cannot be read; mend their permissions"
        raise InvalidRequest(told, param="model", detail=f"{told}: {error}") from error


def _weights(path: Path) -> Iterable[Path]:
    if not path.is_dir():
        return [path]
    return [file for file in path.iterdir() if file.suffix in WEIGHTS and file.is_file()]

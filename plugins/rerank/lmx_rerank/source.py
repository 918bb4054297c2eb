"""The models that the configuration names, with what can be told of them before they are loaded."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import define, evolve, field

from lmx_hookspecs import Capability, Context, ModelInfo
from lmx_hookspecs.model_files import Listing, ReadFolder, look
from lmx_rerank.cached import repository, snapshot
from lmx_rerank.config import API, FORMAT_OF, RerankConfig, RerankModel

ABLE: frozenset[str] = frozenset({Capability.RERANK})


@define(eq=False)
class RerankSource:
    """Those of `plugins.rerank.models`; a model that could not be loaded is listed with what it lacks."""

    _ctx: Context
    _environment: Mapping[str, str] = field(factory=lambda: os.environ)
    _listing: Listing = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._look_again()

    def models(self) -> Sequence[ModelInfo]:
        """Every one that the configuration names."""
        return list(self._listing.by_id().values())

    def find(self, model_id: str) -> ModelInfo | None:
        """The model of that id, or None."""
        known = self._ctx.config.models
        return self._listing.find(model_id) if model_id in known else None

    def reconfigure(self, config: RerankConfig) -> None:  # noqa: ARG002  the context has it by then
        """The new models are there at once; one that is loaded stays as it is until it is loaded again."""
        self._look_again()

    def _look_again(self) -> None:
        self._listing = Listing("rerank", self._scan, self._skipped)

    def _scan(self, read: ReadFolder) -> Iterator[ModelInfo]:
        for model_id, entry in self._ctx.config.models.items():
            found = self._remote(entry) if entry.type == API else self._local(model_id, entry, read)
            yield evolve(found, id=model_id, format=FORMAT_OF[entry.type], source="rerank", capabilities=ABLE)

    def _remote(self, entry: RerankModel) -> ModelInfo:
        variable = entry.api_key_env
        missing = variable is not None and not self._environment.get(variable)
        node = entry.provider or urlsplit(entry.url or "").hostname
        return ModelInfo(
            id="",
            format="",
            trouble=f"the environment variable {variable} holds no key" if missing else None,
            details={"node": node, "model": entry.name},
        )

    def _local(self, model_id: str, entry: RerankModel, read: ReadFolder) -> ModelInfo:
        root = repository(entry.name, self._environment) if entry.name else (entry.path or Path()).expanduser()
        folder = snapshot(root) if entry.name else root
        if folder is None:
            return _troubled(None, f"its files are not here; get them with `lmx pull {entry.name}`")
        try:
            looked = look(folder, root.resolve())
        except OSError as error:
            return _troubled(folder, f"{folder} cannot be read: {error.strerror}; mend its path")
        if entry.type == "flashrank":
            sizes = [facts.size_bytes for name, facts in looked.files.items() if name.endswith(".onnx")]
            trouble = None if len(sizes) == 1 else f"{folder} holds {len(sizes)} .onnx files, and not one"
            return ModelInfo(id="", format="", path=folder, size_bytes=sum(sizes), trouble=trouble)
        found: list[ModelInfo] = [model for model in read(looked, model_id) if model.format != "gguf"]
        return found[0] if found else _troubled(folder, f"{folder} holds no config.json with weights as safetensors")

    def _skipped(self, path: Path, reason: str) -> None:
        self._ctx.log.warning("reranker_skipped", path=str(path), reason=reason)


def _troubled(path: Path | None, trouble: str, **facts: Any) -> ModelInfo:
    return ModelInfo(id="", format="", path=path, trouble=trouble, **facts)

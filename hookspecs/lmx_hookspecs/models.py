"""Models: where their ids come from, and the states they pass through."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from attrs import field, frozen

from lmx_hookspecs.context import Context
from lmx_hookspecs.downloads import Downloader


@frozen(kw_only=True)
class ModelInfo:
    """A model that could be loaded. `settings` is its entry under `models.settings`, merged by the kernel."""

    id: str
    format: str
    path: Path | None = None
    adapter: Path | None = None
    """A LoRA adapter to apply to the weights: a folder, or a GGUF file. Given to backends with `adapters` among their
    settings only."""
    draft: Path | None = None
    """Weights of the model that drafts for this one, of the same format: what the setting `draft_model` names."""
    size_bytes: int = 0
    source: str = ""
    context_length: int | None = None
    capabilities: frozenset[str] | None = None
    """What it can do, where its source knows before it is loaded; None is whatever its backend can do."""
    created: int = 0
    """Unix time in seconds: when its files were last written."""
    builtin: bool = False
    """Ships with its plugin; the default model when nothing else is configured or loaded."""
    sampling: Mapping[str, float] = field(factory=dict)
    """Fields of Sampling that this model wants where a request leaves them open."""
    settings: Mapping[str, Any] = field(factory=dict)
    trouble: str | None = None
    """Why it could not answer now, where its source knows: for operators."""
    details: Mapping[str, Any] = field(factory=dict)
    """For people: architecture, data type, quantisation. `node` names where it runs, if that is not here, `model` what
    it is called there, and `healthy` is whether that was well when it was last looked at, null before."""

    @property
    def remote(self) -> bool:
        """Whether it runs elsewhere: then it has neither files nor a size here."""
        return "node" in self.details


@frozen(kw_only=True)
class LoadOptions:
    """How a model is to be loaded; None leaves what holds for it anyway."""

    keep_alive_s: float | None = None
    """Seconds of idleness after which it is evicted, 0 for never; None is the configured time."""
    pinned: bool | None = None
    performance: Mapping[str, Any] = field(factory=dict)
    """Performance settings over those of its presets and its entry under `models.settings`."""
    context_length: int | None = None


class ModelState(StrEnum):
    """The states of a model; `no_engine` marks one on disk that no active backend opens.

    `remote` takes the place of `on_disk` for a model of a node that nobody has asked for yet.
    """

    ON_DISK = "on_disk"
    REMOTE = "remote"
    NO_ENGINE = "no_engine"
    DOWNLOADING = "downloading"
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"
    QUARANTINED = "quarantined"


@frozen(kw_only=True)
class ModelStatus:
    """A model as operators see it."""

    info: ModelInfo
    state: ModelState
    backend: str | None = None
    reason: str | None = None
    context_length: int | None = None
    capabilities: frozenset[str] = frozenset()
    memory_bytes: int = 0
    loaded_at: float | None = None
    """Unix time in seconds."""
    last_used_at: float | None = None
    request_count: int = 0
    in_flight: int = 0
    pinned: bool = False
    keep_alive_s: float | None = None
    """As in LoadOptions."""
    performance: Mapping[str, Any] = field(factory=dict)
    """The settings that its load was asked for with."""
    details: Mapping[str, Any] = field(factory=dict)


class ModelSource(Protocol):
    """Finds models. Both methods may touch the disk: the kernel calls them in a thread."""

    def models(self) -> Sequence[ModelInfo]:
        """Everything this source offers now."""

    def find(self, model_id: str) -> ModelInfo | None:
        """The model of that id, or None; raises InvalidRequest for an id that could never be one."""


@runtime_checkable
class DeletableSource(ModelSource, Protocol):
    """A source that can also take models away."""

    def delete(self, model_id: str) -> int:
        """Delete the model's files and return the bytes freed; called in a thread. Raises ModelNotFound, Conflict."""


@frozen(kw_only=True)
class Helper:
    """A model that is asked first whenever something is to be embedded or reranked, whatever model was named."""

    model: str
    fallback: Literal["local", "skip"] = "local"
    """When it cannot answer: `local` asks the model that was named, `skip` nobody."""


@runtime_checkable
class HelpingSource(ModelSource, Protocol):
    """A source that can have helpers."""

    def helper(self, capability: str) -> Helper | None:
        """The helper for Capability.EMBED or RERANK, if there is one; called on the kernel's loop."""


@frozen(kw_only=True)
class ModelSourceSpec:
    """A recipe for a model source; of two that know an id, the higher `priority` wins."""

    name: str
    open: Callable[[Context], ModelSource]
    priority: int = 50
    downloader: Callable[[Context], Downloader] | None = None
    """Looks up what this source could fetch; the highest `priority` that has one is used."""

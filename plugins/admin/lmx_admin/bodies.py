"""What the routes take and give."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from lmx_hookspecs import option


@frozen(kw_only=True)
class ModelToLoad:
    """The body of `POST /admin/models/load`."""

    model_id: str = option(doc="id of the model, as `GET /admin/models` gives it", min_length=1, max_length=1024)


@frozen(kw_only=True)
class ModelToUnload:
    """The body of `POST /admin/models/unload`."""

    model_id: str = option(doc="id of a loaded model", min_length=1, max_length=1024)


@frozen(kw_only=True)
class LoadAnswer:
    """The model's own memory and how long its load took; both null when it was loaded already. GB are 10^9 bytes."""

    success: bool = True
    model_id: str
    memory_after_load_gb: float | None = None
    time_to_load_ms: float | None = None


@frozen(kw_only=True)
class UnloadAnswer:
    """What came back, in 10^9 bytes."""

    success: bool = True
    model_id: str
    memory_freed_gb: float


@frozen(kw_only=True)
class LoadedModel:
    """A model that holds memory."""

    id: str
    loaded: bool = True
    memory_gb: float
    loaded_at: float | None
    """Unix time in seconds."""
    use_batching: bool
    request_count: int
    last_used_at: float | None
    context_length: int | None
    performance: Mapping[str, Any]
    """Its settings, merged from the defaults and its entry under `models.settings`."""


@frozen(kw_only=True)
class KnownModel:
    """A model, whatever its state."""

    id: str
    state: str
    reason: str | None
    backend: str | None
    format: str
    source: str
    path: str | None
    size_bytes: int
    context_length: int | None
    capabilities: Sequence[str]
    memory_bytes: int
    loaded_at: float | None
    last_used_at: float | None
    request_count: int
    in_flight: int
    settings: Mapping[str, Any]
    details: Mapping[str, Any]
    """Of its files: architecture, data type, quantisation."""
    engine: Mapping[str, Any]
    """What its engine says of itself."""


@frozen(kw_only=True)
class ModelsAnswer:
    """The answer of `GET /admin/models`; `count` is the number of loaded ones."""

    loaded: Sequence[LoadedModel]
    count: int
    models: Sequence[KnownModel]

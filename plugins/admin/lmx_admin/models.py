"""Models: list, inspect, pin, delete."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from attrs import asdict, frozen

from lmx_admin.quantize import refuse_while_quantised
from lmx_admin.wire import gb, named_in_error, reply
from lmx_hookspecs import Capability, Context, JsonResponse, ModelState, ModelStatus, Request, Response, option
from lmx_hookspecs.model_files import check_model_id

HOLDING_MEMORY = frozenset({ModelState.READY, ModelState.DRAINING})


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
    """The settings that its load was asked for with."""
    pinned: bool
    keep_alive_sec: float | None
    """Null is the configured time, 0 is never."""


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
    adapter: str | None
    """The LoRA adapter on it."""
    draft: str | None
    """What drafts for it, while it is loaded."""
    size_bytes: int | None
    """Of its files; null for one that runs elsewhere."""
    context_length: int | None
    capabilities: Sequence[str]
    memory_bytes: int
    loaded_at: float | None
    last_used_at: float | None
    request_count: int
    in_flight: int
    pinned: bool
    keep_alive_sec: float | None
    performance: Mapping[str, Any]
    settings: Mapping[str, Any]
    """All that hold for it, merged."""
    details: Mapping[str, Any]
    """Of its files: architecture, data type, quantisation; of a remote one its `node`, and if that is `healthy`."""
    engine: Mapping[str, Any]
    """What its engine says of itself."""
    cache: Mapping[str, Any] | None
    """Of that, its prefix caches: hits, misses, bytes, entries, evictions, and why the last look-up missed."""
    speculative: Mapping[str, Any] | None
    """Of that, its drafts: how many were made, and how many accepted."""


@frozen(kw_only=True)
class ModelsAnswer:
    """The answer of `GET /admin/models`; `count` is the number of loaded ones."""

    loaded: Sequence[LoadedModel]
    count: int
    models: Sequence[KnownModel]


@frozen(kw_only=True)
class AvailableModel:
    """A model on disk; `downloaded_at` is the Unix time in seconds at which its files were last written."""

    repo_id: str
    local_path: str
    size_bytes: int
    downloaded_at: float


@frozen(kw_only=True)
class Pin:
    """The body of `POST /admin/models/{id}/pin`; none at all pins."""

    pinned: bool = option(default=True, doc="false lets it be unloaded again to make room")


@frozen(kw_only=True)
class PinAnswer:
    """Whether the model may be unloaded to make room."""

    success: bool = True
    model_id: str
    pinned: bool


@frozen(kw_only=True)
class DeleteAnswer:
    """What came back on the disk."""

    success: bool = True
    model_id: str
    freed_bytes: int


async def listing(ctx: Context, _request: Request) -> Response:
    """Every model, loaded ones first."""
    known = await ctx.services.models.list()
    loaded = [_loaded(status) for status in known if status.state in HOLDING_MEMORY]
    return reply(ModelsAnswer(loaded=loaded, count=len(loaded), models=[_known(status) for status in known]))


async def available(ctx: Context, _request: Request) -> Response:
    """What could be loaded without a download."""
    found = [status.info for status in await ctx.services.models.list()]
    return JsonResponse(
        body=[
            asdict(
                AvailableModel(
                    repo_id=info.id,
                    local_path=str(info.path),
                    size_bytes=info.size_bytes,
                    downloaded_at=float(info.created),
                )
            )
            for info in found
            if info.path is not None and info.adapter is None
        ]
    )


async def one(ctx: Context, request: Request) -> Response:
    """One model."""
    with named_in_error("model_id"):
        return reply(_known(await ctx.services.models.get(request.path_params["id"], fresh=True)))


async def pin(ctx: Context, request: Request) -> Response:
    """Keep a loaded model, or let go of it."""
    return await _pinned(ctx, request, pinned=request.body.pinned)


async def unpin(ctx: Context, request: Request) -> Response:
    """Let a loaded model be unloaded again."""
    return await _pinned(ctx, request, pinned=False)


async def delete(ctx: Context, request: Request) -> Response:
    """Delete a model's files."""
    model_id = request.path_params["id"]
    with named_in_error("model_id"):
        check_model_id(model_id)
        check_model_id(unquote(model_id))  # an id that was encoded twice is no id either
        await refuse_while_quantised(ctx, model_id)
        freed_bytes = await ctx.services.models.delete(model_id)
    return reply(DeleteAnswer(model_id=model_id, freed_bytes=freed_bytes))


async def _pinned(ctx: Context, request: Request, *, pinned: bool) -> Response:
    model_id = request.path_params["id"]
    with named_in_error("model_id"):
        status = await ctx.services.models.pin(model_id, pinned=pinned)
    return reply(PinAnswer(model_id=model_id, pinned=status.pinned))


def _loaded(status: ModelStatus) -> LoadedModel:
    return LoadedModel(
        id=status.info.id,
        memory_gb=gb(status.memory_bytes),
        loaded_at=status.loaded_at,
        use_batching=Capability.BATCHING in status.capabilities,
        request_count=status.request_count,
        last_used_at=status.last_used_at,
        context_length=status.context_length,
        performance=status.performance,
        pinned=status.pinned,
        keep_alive_sec=status.keep_alive_s,
    )


def _known(status: ModelStatus) -> KnownModel:
    info, told = status.info, status.details.get("details") or {}
    return KnownModel(
        id=info.id,
        state=status.state.value,
        reason=status.reason,
        backend=status.backend,
        format=info.format,
        source=info.source,
        path=str(info.path) if info.path else None,
        adapter=str(info.adapter) if info.adapter else None,
        draft=str(info.draft) if info.draft else None,
        size_bytes=None if info.remote else info.size_bytes,
        context_length=status.context_length,
        capabilities=sorted(status.capabilities),
        memory_bytes=status.memory_bytes,
        loaded_at=status.loaded_at,
        last_used_at=status.last_used_at,
        request_count=status.request_count,
        in_flight=status.in_flight,
        pinned=status.pinned,
        keep_alive_sec=status.keep_alive_s,
        performance=status.performance,
        settings=info.settings,
        details=info.details,
        engine=status.details,
        cache=told.get("cache"),
        speculative=told.get("speculative"),
    )

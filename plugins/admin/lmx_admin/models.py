"""Models: list, inspect, load, unload."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from time import perf_counter

from attrs import asdict

from lmx_admin.bodies import KnownModel, LoadAnswer, LoadedModel, ModelsAnswer, UnloadAnswer
from lmx_hookspecs import Capability, Context, JsonResponse, LmxError, ModelState, ModelStatus, Request, Response

HOLDING_MEMORY = frozenset({ModelState.READY, ModelState.DRAINING})


async def listing(ctx: Context, _request: Request) -> Response:
    """Every model, loaded ones first."""
    known = await ctx.services.models.list()
    loaded = [_loaded(status) for status in known if status.state in HOLDING_MEMORY]
    return _json(ModelsAnswer(loaded=loaded, count=len(loaded), models=[_known(status) for status in known]))


async def one(ctx: Context, request: Request) -> Response:
    """One model."""
    return _json(_known(await ctx.services.models.get(request.path_params["id"])))


async def load(ctx: Context, request: Request) -> Response:
    """Load a model, or find that it is loaded."""
    model_id = request.body.model_id
    with _named_model_id():
        before = await ctx.services.models.get(model_id)
        if before.state is ModelState.READY:
            return _json(LoadAnswer(model_id=model_id))
        began_s = perf_counter()
        status = await ctx.services.models.load(model_id)
    took_ms = (perf_counter() - began_s) * 1000
    return _json(
        LoadAnswer(
            model_id=model_id,
            memory_after_load_gb=_gb(status.memory_bytes),
            time_to_load_ms=round(took_ms, 1),
        )
    )


async def unload(ctx: Context, request: Request) -> Response:
    """Unload a model."""
    model_id = request.body.model_id
    with _named_model_id():
        freed_bytes = await ctx.services.models.unload(model_id)
    return _json(UnloadAnswer(model_id=model_id, memory_freed_gb=_gb(freed_bytes)))


@contextmanager
def _named_model_id() -> Iterator[None]:
    """The field is called `model` everywhere but here."""
    try:
        yield
    except LmxError as error:
        if error.param != "model":
            raise
        renamed = copy(error)  # everybody who waits for one load is given the same error
        renamed.param = "model_id"
        raise renamed from error


def _loaded(status: ModelStatus) -> LoadedModel:
    return LoadedModel(
        id=status.info.id,
        memory_gb=_gb(status.memory_bytes),
        loaded_at=status.loaded_at,
        use_batching=Capability.BATCHING in status.capabilities,
        request_count=status.request_count,
        last_used_at=status.last_used_at,
        context_length=status.context_length,
        performance=status.info.settings,
    )


def _known(status: ModelStatus) -> KnownModel:
    info = status.info
    return KnownModel(
        id=info.id,
        state=status.state.value,
        reason=status.reason,
        backend=status.backend,
        format=info.format,
        source=info.source,
        path=str(info.path) if info.path else None,
        size_bytes=info.size_bytes,
        context_length=status.context_length,
        capabilities=sorted(status.capabilities),
        memory_bytes=status.memory_bytes,
        loaded_at=status.loaded_at,
        last_used_at=status.last_used_at,
        request_count=status.request_count,
        in_flight=status.in_flight,
        settings=info.settings,
        details=info.details,
        engine=status.details,
    )


def _json(answer: ModelsAnswer | KnownModel | LoadAnswer | UnloadAnswer) -> Response:
    return JsonResponse(body=asdict(answer))


def _gb(size_bytes: int) -> float:
    return round(size_bytes / 1e9, 3)

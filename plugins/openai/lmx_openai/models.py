"""GET /v1/models and /v1/models/{id}."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import frozen

from lmx_hookspecs import Context, JsonResponse, ModelState, ModelStatus, Request, Response
from lmx_hookspecs.errors import ModelNotFound
from lmx_openai.requests import MAX_MODEL

OWNER = "local"


@frozen(kw_only=True)
class Model:
    """What can be asked for. `lmx` holds its state, backend, capabilities and context length."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    lmx: Mapping[str, Any]


@frozen(kw_only=True)
class ModelList:
    """The answer of GET /v1/models: loaded models first."""

    object: Literal["list"]
    data: Sequence[Model]


async def list_models(ctx: Context, _: Request) -> Response:
    """Everything that can be asked for."""
    statuses = await ctx.services.models.list()
    data = [*map(plain_model, statuses), *_aliases(ctx, {status.info.id for status in statuses})]
    return JsonResponse(body={"object": "list", "data": data})


async def get_model(ctx: Context, request: Request) -> Response:
    """One model; raises ModelNotFound."""
    wanted = request.path_params["id"]
    if len(wanted) > MAX_MODEL:
        raise ModelNotFound(
            f"no model has a name of more than {MAX_MODEL} characters; GET /v1/models lists what there is",
            param="model",
        )
    known = {status.info.id for status in await ctx.services.models.list()}
    aliases = {alias["id"]: alias for alias in _aliases(ctx, known)}
    if wanted in aliases and wanted not in known:
        return JsonResponse(body=aliases[wanted])
    return JsonResponse(body=plain_model(await ctx.services.models.get(wanted)))


def plain_model(status: ModelStatus) -> Mapping[str, Any]:
    """A model as the API writes it."""
    return {
        "id": status.info.id,
        "object": "model",
        "created": status.info.created or int(status.loaded_at or 0),
        "owned_by": OWNER,
        "lmx": {
            "state": status.state.value,
            "backend": status.backend,
            "capabilities": sorted(status.capabilities),
            "context_length": status.context_length or status.info.context_length,
            "format": status.info.format,
            "size_bytes": status.info.size_bytes,
            # Why a load failed may quote what its worker wrote: that is for operators.
            "reason": status.reason if status.state is ModelState.NO_ENGINE else None,
        },
    }


def _aliases(ctx: Context, known: set[str]) -> list[Mapping[str, Any]]:
    """Aliases of which at least one model is here."""
    aliases: Mapping[str, Sequence[str]] = ctx.services.config.section("routing").aliases
    return [
        {
            "id": alias,
            "object": "model",
            "created": 0,
            "owned_by": OWNER,
            "lmx": {"state": "alias", "models": [model for model in models if model in known]},
        }
        for alias, models in aliases.items()
        if known.intersection(models)
    ]

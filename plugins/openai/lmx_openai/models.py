"""GET /v1/models and /v1/models/{id}."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from attrs import define, frozen

from lmx_hookspecs import Context, JsonResponse, ModelInfo, ModelState, ModelStatus, Preset, Request, Response
from lmx_hookspecs.errors import ModelNotFound
from lmx_openai.requests import MAX_MODEL

OWNER = "local"
AUTO = "auto"
PRESET = "preset:"
ANTHROPIC = "anthropic-version"
"""The header that every client of Anthropic's API sends."""


@frozen(kw_only=True)
class Model:
    """What can be asked for.

    `lmx` holds its kind (model, preset or alias) and state, and of a model its backend, capabilities and context
    length, and the node that it runs on if that is not here, of the others the models that they stand for.
    """

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    lmx: Mapping[str, Any]


@frozen(kw_only=True)
class ModelList:
    """The answer of GET /v1/models: loaded models first, presets and aliases last."""

    object: Literal["list"]
    data: Sequence[Model]


async def list_models(ctx: Context, request: Request) -> Response:
    """Everything that can be asked for; with the fields that Anthropic's clients look for, where one asks."""
    names = await names_of(ctx)
    presets = [await names.preset(preset) for preset in ctx.services.presets.list()]
    others = [*presets, *map(names.alias, names.aliases)]
    data = [*map(plain_model, names.statuses.values()), *(other for other in others if other is not None)]
    if ANTHROPIC in request.headers:
        return JsonResponse(body=anthropic_list([anthropic_model(model) for model in data]))
    return JsonResponse(body={"object": "list", "data": data})


async def get_model(ctx: Context, request: Request) -> Response:
    """One model, preset or alias; raises ModelNotFound."""
    found = await _found(ctx, request)
    return JsonResponse(body=anthropic_model(found) if ANTHROPIC in request.headers else found)


def anthropic_model(model: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same model with the fields of Anthropic's API."""
    created = datetime.fromtimestamp(model["created"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {**model, "type": "model", "display_name": model["id"], "created_at": created}


def anthropic_list(data: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """One page, which holds them all."""
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"object": "list", "data": data, "has_more": False, "first_id": first, "last_id": last}


async def _found(ctx: Context, request: Request) -> Mapping[str, Any]:
    wanted = request.path_params["id"]
    if len(wanted) > MAX_MODEL:
        raise ModelNotFound(
            f"no model has a name of more than {MAX_MODEL} characters; GET /v1/models lists what there is",
            param="model",
        )
    names = await names_of(ctx)
    if wanted.startswith(PRESET):
        preset = ctx.services.presets.get(wanted.removeprefix(PRESET))
        found = await names.preset(preset)
        if found is None:
            raise ModelNotFound(f"the model of {wanted!r} is not here: {preset.model!r}; get it first", param="model")
        return found
    return names.alias(wanted) or plain_model(await ctx.services.models.get(wanted))


@define
class Names:
    """The models there are, and the other names for them."""

    ctx: Context
    statuses: Mapping[str, ModelStatus]
    """By id, loaded ones first."""
    aliases: Mapping[str, Sequence[str]]

    def alias(self, name: str) -> Mapping[str, Any] | None:
        """An alias of which at least one model is here; None for anything else, a model of that name among it."""
        here = self._here(name)
        return None if name in self.statuses or not here else self._other(name, "alias", here)

    async def preset(self, preset: Preset) -> Mapping[str, Any] | None:
        """A preset whose model is here, else None."""
        here = self._here(preset.model) if preset.model != AUTO else await self._default()
        return self._other(PRESET + preset.name, "preset", here, description=preset.description) if here else None

    def _here(self, name: str) -> Sequence[str]:
        """The models that a request for `name` may get, loaded ones first."""
        targets = [name] if name in self.statuses else self.aliases.get(name, ())
        here = [target for target in targets if target in self.statuses]
        return sorted(here, key=lambda target: self.statuses[target].state is not ModelState.READY)

    async def _default(self) -> Sequence[str]:
        try:
            targets: Sequence[str] = await self.ctx.services.routing.resolve(AUTO)
        except ModelNotFound:
            return ()
        return [target for target in targets if target in self.statuses]

    def _other(self, name: str, kind: str, here: Sequence[str], **facts: Any) -> Mapping[str, Any]:
        state = self.statuses[here[0]].state.value
        lmx = {"kind": kind, "state": state, "models": here, **facts}
        return {"id": name, "object": "model", "created": 0, "owned_by": OWNER, "lmx": lmx}


async def names_of(ctx: Context) -> Names:
    """As they are now."""
    statuses = {status.info.id: status for status in await ctx.services.models.list()}
    return Names(ctx, statuses, ctx.services.routing.aliases())


def _node(info: ModelInfo) -> Mapping[str, Any] | None:
    """Where a model runs that does not run here."""
    return {"name": info.details["node"], "healthy": info.details.get("healthy")} if info.remote else None


def plain_model(status: ModelStatus) -> Mapping[str, Any]:
    """A model as the API writes it."""
    return {
        "id": status.info.id,
        "object": "model",
        "created": status.info.created or int(status.loaded_at or 0),
        "owned_by": OWNER,
        "lmx": {
            "kind": "model",
            "state": status.state.value,
            "backend": status.backend,
            "capabilities": sorted(status.capabilities),
            "context_length": status.context_length or status.info.context_length,
            "format": status.info.format,
            "size_bytes": None if status.info.remote else status.info.size_bytes,
            "node": _node(status.info),
            # Why a load failed may quote what its worker wrote: that is for operators.
            "reason": status.reason if status.state is ModelState.NO_ENGINE else None,
        },
    }

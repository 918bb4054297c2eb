"""What plays which role, and what every part of the server says of itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import asdict, frozen

from lmx_admin.helpers import backend_nodes, helper_nodes
from lmx_admin.wire import reply
from lmx_hookspecs import Context, JsonResponse, ModelState, Request, Response, option
from lmx_hookspecs.errors import ModelNotFound


@frozen(kw_only=True)
class Role:
    """An alias: the models to try, the one that would answer now, and whether that one is loaded."""

    preferences: Sequence[str]
    resolved_model: str | None
    loaded: bool


@frozen(kw_only=True)
class StackPreset:
    """Alias to model id."""

    description: str
    roles: Mapping[str, str]


@frozen(kw_only=True)
class StackAnswer:
    """Roles and models; beside these keys, one for each part of the server that describes itself."""

    roles: Mapping[str, Role]
    helper_nodes: Mapping[str, Any]
    loaded_models: Sequence[str]
    default_model: str | None
    backends: Mapping[str, Any]
    stack_presets: Mapping[str, StackPreset]
    active_stack: str | None


@frozen(kw_only=True)
class StackToActivate:
    """The body of `POST /admin/stack/activate`."""

    name: str = option(doc="one of `stack_presets`", min_length=1, max_length=256)


@frozen(kw_only=True)
class StackActivated:
    """The models of all roles are loaded, and the roles point at them."""

    success: bool = True
    name: str
    roles: Mapping[str, str]


@frozen(kw_only=True)
class PredictorAnswer:
    """What requests have asked for, and which model is likely to be asked for next."""

    total_accesses: int = 0
    unique_models: int = 0
    history_size: int = 0
    top_models: Sequence[Sequence[Any]] = ()
    """Pairs of model id and count."""
    transition_count: int = 0
    predicted_next: str | None = None


async def stack(ctx: Context, _request: Request) -> Response:
    """Roles, models, and what every long-lived object says of itself."""
    described = ctx.services.describe()
    loaded = sorted(status.info.id for status in await ctx.services.models.list() if status.state is ModelState.READY)
    aliases = ctx.services.routing.aliases()
    answer = StackAnswer(
        roles={alias: await _role(ctx, alias, models, loaded) for alias, models in aliases.items()},
        helper_nodes=helper_nodes(described),
        loaded_models=loaded,
        default_model=ctx.services.routing.default_model(),
        backends=backend_nodes(described),
        stack_presets={
            stack.name: StackPreset(description=stack.description, roles=stack.roles)
            for stack in ctx.services.stacks.list()
        },
        active_stack=ctx.services.stacks.active(),
    )
    return JsonResponse(body={**described, **asdict(answer)})


async def activate(ctx: Context, request: Request) -> Response:
    """Load the models of a stack and point its roles at them: all or nothing."""
    activated = await ctx.services.stacks.activate(request.body.name)
    return reply(StackActivated(name=activated.name, roles=activated.roles))


async def predictor(ctx: Context, _request: Request) -> Response:
    """The predictor's counts."""
    return reply(PredictorAnswer(**ctx.services.describe().get("predictor", {})))


async def _role(ctx: Context, alias: str, models: Sequence[str], loaded: Sequence[str]) -> Role:
    try:
        resolved = (await ctx.services.routing.resolve(alias))[0]
    except ModelNotFound:
        resolved = None
    return Role(preferences=list(models), resolved_model=resolved, loaded=resolved in loaded)

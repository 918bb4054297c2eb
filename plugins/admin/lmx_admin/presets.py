"""Presets: named ways to ask a model."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from lmx_admin.wire import reply
from lmx_hookspecs import Context, Preset, Request, Response


@frozen(kw_only=True)
class PresetAnswer:
    """A preset; `preset:<name>` stands for it where a model's id does."""

    name: str
    description: str
    model: str
    parameters: Mapping[str, Any]
    """Request fields that hold where a request leaves them open."""
    system_prompt: str | None
    routing_alias: str | None
    auto_load: bool
    performance: Mapping[str, Any]
    """Settings with which its model is loaded."""
    chat_template: str | None


@frozen(kw_only=True)
class PresetsAnswer:
    """By name; `skipped` holds the files that are no presets, and why."""

    presets: Sequence[PresetAnswer]
    count: int
    skipped: Mapping[str, str]


@frozen(kw_only=True)
class PresetsReloaded:
    """How many there are now, and the files that are none."""

    success: bool = True
    presets_loaded: int
    skipped: Mapping[str, str]


async def listing(ctx: Context, _request: Request) -> Response:
    """Every preset."""
    found = [_preset(preset) for preset in ctx.services.presets.list()]
    return reply(PresetsAnswer(presets=found, count=len(found), skipped=dict(ctx.services.presets.skipped())))


async def one(ctx: Context, request: Request) -> Response:
    """One preset."""
    return reply(_preset(ctx.services.presets.get(request.path_params["name"])))


async def reload(ctx: Context, _request: Request) -> Response:
    """Read the folder again."""
    found = await ctx.services.presets.reload()
    return reply(PresetsReloaded(presets_loaded=len(found), skipped=dict(ctx.services.presets.skipped())))


def _preset(preset: Preset) -> PresetAnswer:
    return PresetAnswer(
        name=preset.name,
        description=preset.description,
        model=preset.model,
        parameters=preset.parameters,
        system_prompt=preset.system_prompt,
        routing_alias=preset.routing_alias,
        auto_load=preset.auto_load,
        performance=preset.performance,
        chat_template=preset.chat_template,
    )

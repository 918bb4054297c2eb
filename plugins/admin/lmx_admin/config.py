"""The configuration in force, and taking over what was changed in its files."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from lmx_admin.wire import reply
from lmx_hookspecs import Context, Request, Response


@frozen(kw_only=True)
class ConfigAnswer:
    """Every key as plain data, secrets masked, and where each was set, by its dotted path."""

    config: Mapping[str, Any]
    origins: Mapping[str, str]


@frozen(kw_only=True)
class ReloadAnswer:
    """What a reload did: dotted keys, and the sections in which any of them is in force now."""

    success: bool = True
    updated: Sequence[str]
    changed: Sequence[str]
    needs_restart: Sequence[str]
    """Written differently from what is in force, and taken over only at the next start."""


async def show(ctx: Context, _request: Request) -> Response:
    """The configuration in force."""
    return reply(ConfigAnswer(config=ctx.services.config.plain(), origins=ctx.services.config.origins()))


async def reload(ctx: Context, _request: Request) -> Response:
    """Read the files again: all of them are taken over, or none."""
    report = await ctx.services.reload()
    return reply(
        ReloadAnswer(
            updated=sorted({key.partition(".")[0] for key in report.changed}),
            changed=list(report.changed),
            needs_restart=list(report.needs_restart),
        )
    )

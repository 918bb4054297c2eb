"""The installed plugins."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from lmx_admin.wire import reply
from lmx_hookspecs import Context, Request, Response


@frozen(kw_only=True)
class PluginsAnswer:
    """The facts of `lmx plugins list --json`."""

    plugins: Sequence[Mapping[str, Any]]
    count: int


async def plugins(ctx: Context, _request: Request) -> Response:
    """Every installed plugin and its status."""
    found = ctx.services.plugins.list()
    return reply(PluginsAnswer(plugins=found, count=len(found)))

"""Plugin `rag`: documents in, answers out, over HTTP; folders that are kept in collections; and `lmx rag`."""

from collections.abc import Sequence
from typing import Any

from lmx_hookspecs import Command, CommandSpec, Context, Route, SurfaceSpec, hookimpl

NAME = "rag"


@hookimpl
def lmx_surfaces() -> Sequence[SurfaceSpec]:
    """`/v1/rag`; what its handlers share also follows the folders of `rag.watch`."""
    return [SurfaceSpec(name=NAME, late_routes=_routes, open=_open)]


@hookimpl
def lmx_commands() -> Sequence[CommandSpec]:
    """`lmx rag`, which asks a running server."""
    return [CommandSpec(name=NAME, help="store documents, search them, and measure how well", factory=_command)]


def _routes() -> Sequence[Route]:
    from lmx_rag.surface import ROUTES

    return ROUTES


def _open(ctx: Context) -> Any:
    from lmx_rag.watching import watcher_of

    return watcher_of(ctx)


def _command() -> Command:
    from lmx_rag.commands.rag import RagCommand

    return RagCommand()

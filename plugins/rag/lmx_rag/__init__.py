"""Plugin `rag`: documents in, answers out, over HTTP; and folders that are kept in collections."""

from collections.abc import Sequence
from typing import Any

from lmx_hookspecs import Context, Route, SurfaceSpec, hookimpl

NAME = "rag"


@hookimpl
def lmx_surfaces() -> Sequence[SurfaceSpec]:
    """`/v1/rag`; what its handlers share also follows the folders of `rag.watch`."""
    return [SurfaceSpec(name=NAME, late_routes=_routes, open=_open)]


def _routes() -> Sequence[Route]:
    from lmx_rag.surface import ROUTES

    return ROUTES


def _open(ctx: Context) -> Any:
    from lmx_rag.watching import watcher_of

    return watcher_of(ctx)

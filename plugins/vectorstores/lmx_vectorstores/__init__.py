"""Plugin `vectorstores`: OpenAI's files and vector stores, on the server's own retrieval."""

from collections.abc import Sequence
from typing import Any

from lmx_hookspecs import ConfigSpec, Context, Route, SurfaceSpec, hookimpl
from lmx_vectorstores.config import VectorStoresConfig

NAME = "vectorstores"


@hookimpl
def lmx_config() -> Sequence[ConfigSpec]:
    """How much is kept, and how fast files are taken in."""
    return [ConfigSpec(cls=VectorStoresConfig)]


@hookimpl
def lmx_surfaces() -> Sequence[SurfaceSpec]:
    """One surface with all routes, whose handlers share a desk."""
    return [SurfaceSpec(name=NAME, late_routes=_routes, open=_open)]


def _routes() -> Sequence[Route]:
    from lmx_vectorstores.surface import ROUTES

    return ROUTES


def _open(ctx: Context) -> Any:
    from lmx_vectorstores.desk import open_desk

    return open_desk(ctx)

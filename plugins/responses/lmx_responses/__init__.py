"""Plugin `responses`: OpenAI's Responses API, with conversations that the server keeps."""

from collections.abc import Sequence
from typing import Any

from lmx_hookspecs import ConfigSpec, Context, Route, SurfaceSpec, hookimpl
from lmx_responses.config import ResponsesConfig

NAME = "responses"


@hookimpl
def lmx_config() -> Sequence[ConfigSpec]:
    """What is kept, and for how long."""
    return [ConfigSpec(cls=ResponsesConfig)]


@hookimpl
def lmx_surfaces() -> Sequence[SurfaceSpec]:
    """One surface with all routes, whose handlers share a desk."""
    return [SurfaceSpec(name=NAME, late_routes=_routes, open=_open)]


def _routes() -> Sequence[Route]:
    from lmx_responses.surface import ROUTES

    return ROUTES


def _open(ctx: Context) -> Any:
    from lmx_responses.desk import open_desk

    return open_desk(ctx)

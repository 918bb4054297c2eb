"""Plugin `openai`: the OpenAI API: chat completions, completions, embeddings, rerank and models."""

from collections.abc import Sequence

from lmx_hookspecs import Route, SurfaceSpec, hookimpl


@hookimpl
def lmx_surfaces() -> Sequence[SurfaceSpec]:
    """One surface with all routes."""
    return [SurfaceSpec(name="openai", late_routes=_routes)]


def _routes() -> Sequence[Route]:
    from lmx_openai.surface import ROUTES

    return ROUTES

"""Plugin `openai`: the OpenAI API: chat completions, completions and models."""

from collections.abc import Sequence

from lmx_hookspecs import SurfaceSpec, hookimpl


@hookimpl
def lmx_surfaces() -> Sequence[SurfaceSpec]:
    """One surface with all routes."""
    from lmx_openai.surface import SURFACE

    return [SURFACE]

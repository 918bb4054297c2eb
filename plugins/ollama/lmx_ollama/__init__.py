"""Plugin `ollama`: Ollama's HTTP API, for clients that speak no other; off until the configuration enables it."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmx_hookspecs import ErrorShape, JsonResponse, Route, SurfaceSpec, hookimpl


@hookimpl
def lmx_surfaces() -> Sequence[SurfaceSpec]:
    """One surface, whose errors look as Ollama's clients expect them."""
    return [SurfaceSpec(name="ollama", late_routes=_routes, errors=[ErrorShape(path="/api", answer=_error)])]


def _routes() -> Sequence[Route]:
    from lmx_ollama.surface import ROUTES

    return ROUTES


def _error(error: Mapping[str, Any], status: int, _: str) -> JsonResponse:
    return JsonResponse(body={"error": error["error"]["message"]}, status=status)

"""Plugin `anthropic`: Anthropic's Messages API: messages, streamed or whole, and exact token counts."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmx_hookspecs import ErrorShape, JsonResponse, Route, SurfaceSpec, hookimpl

PATH = "/v1/messages"


@hookimpl
def lmx_surfaces() -> Sequence[SurfaceSpec]:
    """One surface, whose errors look at and below its path as its clients expect them."""
    return [SurfaceSpec(name="anthropic", late_routes=_routes, errors=[ErrorShape(path=PATH, answer=_error)])]


def _routes() -> Sequence[Route]:
    from lmx_anthropic.surface import ROUTES

    return ROUTES


def _error(error: Mapping[str, Any], status: int, request_id: str) -> JsonResponse:
    from lmx_anthropic.errors import answer

    return answer(error, status, request_id)

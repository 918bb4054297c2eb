"""What all handlers of `/v1/rag` share: the service, names, times, and how answers are written."""

from time import perf_counter
from typing import Any

from attrs import asdict

from lmx_hookspecs import Context, JsonResponse, Request
from lmx_hookspecs.errors import InvalidRequest, NotFound
from lmx_hookspecs.ownership import collection_for
from lmx_hookspecs.retrieval import Retriever
from lmx_hookspecs.retrieving import RetrievalService


def retrieval(ctx: Context) -> RetrievalService:
    """The kernel's service; raises NotFound where `rag.enabled` is off."""
    if not ctx.services.config.section("rag").enabled:
        raise NotFound("retrieval is switched off here; set rag.enabled: true and start the server again")
    return ctx.services.retrieval


async def store_for(ctx: Context, request: Request) -> Retriever:
    """The store, for the collection of the path; raises NotFound where the request's key may not know of that."""
    store = retrieval(ctx).store
    await collection_for(store, request.path_params["collection"], request.key)
    return store


def checked_name(name: str, param: str = "collection") -> str:
    """A name that a collection may be given, since a URL can hold it; raises InvalidRequest."""
    if not name or not name.isprintable() or name != name.strip() or "/" in name or name in (".", ".."):
        raise InvalidRequest(
            f"{param} must be 1 to 64 printable characters without slashes, and no white space around them", param=param
        )
    return name


def reply(answer: Any, status: int = 200) -> JsonResponse:
    """An answer class as JSON; `warnings` only where there are any."""
    body = asdict(answer)
    if not body.get("warnings", True):
        del body["warnings"]
    return JsonResponse(body=body, status=status)


def since_ms(began: float) -> float:
    """Milliseconds since a reading of `perf_counter`."""
    return round((perf_counter() - began) * 1000, 1)

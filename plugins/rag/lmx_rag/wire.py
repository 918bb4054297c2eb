"""What all handlers of `/v1/rag` share: the service, names, times, and how answers are written."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from time import perf_counter
from typing import Any

from attrs import asdict

from lmx_hookspecs import Context, JsonResponse, LmxError
from lmx_hookspecs.errors import InvalidRequest, NotFound
from lmx_hookspecs.services import RetrievalService

PARAMS = {"strategy": "chunking", "size": "chunk_size", "overlap": "chunk_overlap", "mode": "search_mode"}
"""What the kernel calls some fields, and what this surface does."""


def retrieval(ctx: Context) -> RetrievalService:
    """The kernel's service; raises NotFound where `rag.enabled` is off."""
    if not ctx.services.config.section("rag").enabled:
        raise NotFound("retrieval is switched off here; set rag.enabled: true and start the server again")
    return ctx.services.retrieval


def checked_name(name: str, param: str = "collection") -> str:
    """A name that a collection may be given, since a URL can hold it; raises InvalidRequest."""
    if not name.isprintable() or name != name.strip() or "/" in name or name in (".", ".."):
        raise InvalidRequest(
            f"{param} must be 1 to 64 printable characters without slashes, and no white space around them", param=param
        )
    return name


def chunk_id(document_id: str, index: int) -> str:
    """What a chunk is called in answers."""
    return f"{document_id}:{index}"


@contextmanager
def our_names() -> Iterator[None]:
    """Inside, errors name the fields of this surface."""
    try:
        yield
    except LmxError as error:
        if error.param not in PARAMS:
            raise
        renamed = copy(error)
        renamed.param = PARAMS[error.param]
        raise renamed from error


def reply(answer: Any, status: int = 200) -> JsonResponse:
    """An answer class as JSON; `warnings` only where there are any."""
    body = asdict(answer)
    if not body.get("warnings", True):
        del body["warnings"]
    return JsonResponse(body=body, status=status)


def since_ms(began: float) -> float:
    """Milliseconds since a reading of `perf_counter`."""
    return round((perf_counter() - began) * 1000, 1)

"""The one table from error code to HTTP status, and the OpenAI shape of every error."""

import json
from collections.abc import Mapping, Sequence
from math import ceil, isnan
from typing import Any

from attrs import frozen

from lmx_hookspecs import LmxError
from lmx_hookspecs.errors import Unavailable
from lmx_hookspecs.http import ErrorShape

REQUEST = "invalid_request_error"
SERVER = "server_error"
LONGEST_RETRY_S = 86_400.0
"""No longer than this is anybody told to stay away."""


@frozen
class Kind:
    """How a code is answered."""

    status: int
    type: str
    retry_after_s: float | None = None
    """When to come back, where the error itself does not say."""


INTERNAL = Kind(500, "internal_server_error")
KINDS: Mapping[str, Kind] = {
    "invalid_value": Kind(400, REQUEST),
    "invalid_input": Kind(400, REQUEST),
    "unsupported_parameter": Kind(400, REQUEST),
    "context_length_exceeded": Kind(400, REQUEST),
    "dimension_mismatch": Kind(400, REQUEST),
    "invalid_vector": Kind(400, REQUEST),
    "invalid_filter": Kind(400, REQUEST),
    "invalid_snapshot": Kind(400, REQUEST),
    "invalid_metadata": Kind(400, REQUEST),
    "empty_content": Kind(400, REQUEST),
    "unreadable_file": Kind(400, REQUEST),
    "unsupported_file": Kind(400, REQUEST),
    "invalid_api_key": Kind(401, REQUEST),
    "admin_key_required": Kind(403, REQUEST),
    "origin_not_allowed": Kind(403, REQUEST),
    "host_not_allowed": Kind(403, REQUEST),
    "not_found": Kind(404, REQUEST),
    "model_not_found": Kind(404, REQUEST),
    "download_not_found": Kind(404, REQUEST),
    "token_not_found": Kind(404, REQUEST),
    "token_expired": Kind(404, REQUEST),
    "job_not_found": Kind(404, REQUEST),
    "stack_not_found": Kind(404, REQUEST),
    "session_not_found": Kind(404, REQUEST),
    "collection_not_found": Kind(404, REQUEST),
    "document_not_found": Kind(404, REQUEST),
    "method_not_allowed": Kind(405, REQUEST),
    "conflict": Kind(409, "conflict"),
    "model_in_use": Kind(409, "conflict"),
    "collection_exists": Kind(409, "conflict"),
    "collection_changed": Kind(409, "conflict"),
    "file_exists": Kind(409, "conflict"),
    "embedding_model_mismatch": Kind(409, "conflict"),
    "file_too_large": Kind(413, REQUEST),
    "request_too_large": Kind(413, REQUEST),
    "rate_limit_exceeded": Kind(429, SERVER, retry_after_s=5),
    "internal_error": INTERNAL,
    "invalid_config": Kind(500, SERVER),
    "plugin_error": Kind(500, SERVER),
    "engine_failed": Kind(502, SERVER),
    "node_failed": Kind(502, SERVER),
    "helper_node_unavailable": Kind(502, SERVER),
    "overloaded": Kind(503, SERVER, retry_after_s=30),
    "model_loading": Kind(503, SERVER, retry_after_s=5),
    "model_draining": Kind(503, SERVER, retry_after_s=5),
    "model_quarantined": Kind(503, SERVER, retry_after_s=60),
    "circuit_open": Kind(503, SERVER, retry_after_s=60),
    "no_engine": Kind(503, SERVER, retry_after_s=300),
    "embedding_unavailable": Kind(503, SERVER, retry_after_s=300),
    "reranking_unavailable": Kind(503, SERVER, retry_after_s=300),
    "retrieval_unavailable": Kind(503, SERVER, retry_after_s=300),
    "no_downloader": Kind(503, SERVER, retry_after_s=300),
    "hub_unreachable": Kind(503, SERVER, retry_after_s=30),
    "hub_forbidden": Kind(403, REQUEST),
    "timeout": Kind(504, SERVER),
    "insufficient_memory": Kind(507, "insufficient_memory"),
    "insufficient_storage": Kind(507, "insufficient_storage"),
}


def kind_of(error: LmxError) -> Kind:
    """By its code; a code that only a plugin knows is answered like the nearest error class that is in the table."""
    codes = [error.code, *(getattr(cls, "default_code", "") for cls in type(error).__mro__)]
    return next((KINDS[code] for code in codes if code in KINDS), INTERNAL)


def deliberate(raised: Exception) -> LmxError | None:
    """The error, where it is one that the client shall read; None for a bug."""
    return raised if isinstance(raised, LmxError) and kind_of(raised) is not INTERNAL else None


def internal_error() -> LmxError:
    """What the client is told of a bug; the details are in the log."""
    return LmxError("internal server error; the server's log has the details under this X-Request-ID")


def stopping() -> LmxError:
    """What the client is told once the server has been asked to end."""
    return Unavailable("the server is shutting down; try again in a moment", code="overloaded", retry_after_s=5)


def shape(error: LmxError) -> Mapping[str, Any]:
    """The body of an error, as plain data."""
    kind = kind_of(error)
    return {"error": {"message": error.message, "type": kind.type, "param": error.param, "code": error.code}}


def body(error: LmxError) -> bytes:
    """The body of an error."""
    return json.dumps(shape(error)).encode()


def headers(error: LmxError) -> dict[str, str]:
    """The header fields that an error carries beside its body."""
    fields = {"Content-Type": "application/json"}
    kind = kind_of(error)
    retry_after_s = kind.retry_after_s if error.retry_after_s is None else error.retry_after_s
    if retry_after_s is not None and not isnan(retry_after_s):
        fields["Retry-After"] = str(ceil(min(max(1, retry_after_s), LONGEST_RETRY_S)))
    if kind.status == 401:
        fields["WWW-Authenticate"] = "Bearer"
    return {**fields, **error.headers}


@frozen
class Answer:
    """An error as it is sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@frozen
class Shapes:
    """The shapes that errors have at some paths instead of the OpenAI one."""

    _shapes: Sequence[ErrorShape] = ()

    def answer(self, error: LmxError, path: str, request_id: str) -> Answer:
        """The answer to a request for that path."""
        status = kind_of(error).status
        for at in self._shapes:
            if path == at.path or path.startswith(f"{at.path}/"):
                made = at.answer(shape(error), status, request_id)
                return Answer(made.status, {**headers(error), **made.headers}, json.dumps(made.body).encode())
        return Answer(status, headers(error), body(error))

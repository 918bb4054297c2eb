"""What goes wrong between us and a node, as errors that the kernel, and whoever guards the node, understand."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lmx_hookspecs import LmxError
from lmx_hookspecs.errors import (
    Busy,
    ContextLengthExceeded,
    EngineFailed,
    InvalidRequest,
    TooLarge,
    Unavailable,
    UnsupportedParameter,
)

if TYPE_CHECKING:
    import httpx

LONGEST_QUOTE = 500
"""Characters of a node's own words that are passed on."""
NONSENSE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What it may raise to read a stranger's answer, odd numbers and endless nesting among it."""
LONGEST_RETRY_S = 3600.0
OURS_TO_MEND: Mapping[int, str] = {
    401: "does not let us in; check its api_key",
    403: "does not let us in; check its api_key",
    404: "does not know this model, or this kind of request",
}
OF_ITS_OWN = {error.default_code: error for error in (UnsupportedParameter, ContextLengthExceeded)}
"""Client errors that LMX, and others, tell by their code."""


class Unreachable(EngineFailed):
    """There is no answer, or not all of one: it says something of the node, whatever it was asked for."""


def failed(node: str, what: str, detail: str | None = None) -> EngineFailed:
    """The node is to blame; `detail` is for operators."""
    message = f"node {node!r} {what}"
    return EngineFailed(message, code="node_failed", detail=f"{message}: {detail}" if detail else None)


def unreachable(node: str, what: str, detail: str | None = None) -> Unreachable:
    """The same, where the node does not answer."""
    told = failed(node, what, detail)
    return Unreachable(told.message, code=told.code, detail=told.detail)


def from_transport(node: str, error: "httpx.HTTPError | httpx.InvalidURL") -> EngineFailed:
    """No answer, or not all of one."""
    import httpx

    said = f"{type(error).__name__}: {error}"
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return unreachable(node, "cannot be reached; is it running?", said)
    if isinstance(error, httpx.TimeoutException):
        return unreachable(node, "has gone silent, and was given up", said)
    return unreachable(node, "broke the connection off; send the request again", said)


def from_status(node: str, status: int, headers: Mapping[str, str], body: bytes) -> LmxError:
    """An answer that is none: what is wrong with the request is the client's to know, all else the operator's."""
    error = error_object(body)
    said = _words(error.get("message")) or _words(body.decode("utf-8", "replace"))
    if status == 429:
        return Busy(f"node {node!r} is busy; try again later", retry_after_s=_retry_after_s(headers), detail=said)
    if status == 503:
        message = f"node {node!r} takes no work now; try again later"
        return Unavailable(message, code="overloaded", retry_after_s=_retry_after_s(headers), detail=said)
    if status in OURS_TO_MEND or not 400 <= status < 500:
        return failed(node, OURS_TO_MEND.get(status, f"answered {status}"), said)
    if status == 413:
        return TooLarge(f"the request is too large for node {node!r}: {said}")
    return _client_error(node, error, said)


def from_event(node: str, error: Any) -> LmxError:
    """An error in the middle of a stream."""
    facts = error if isinstance(error, dict) else {"message": error}
    return failed(node, "gave the request up in the middle of its answer", _words(facts.get("message")))


def error_object(body: bytes) -> Mapping[str, Any]:
    """The error in an answer: OpenAI's shape, or what others make of it; empty where there is none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    error = answer.get("error", answer) if isinstance(answer, dict) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


def _client_error(node: str, error: Mapping[str, Any], said: str) -> InvalidRequest:
    cls = OF_ITS_OWN.get(str(error.get("code")), InvalidRequest)
    param = error.get("param")
    return cls(f"node {node!r} refuses the request: {said}", param=param if isinstance(param, str) else None)


def _words(text: Any) -> str:
    """At most so much of it, on one line; nothing of what is no text."""
    return " ".join(text.split())[:LONGEST_QUOTE] if isinstance(text, str) else ""


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds, within reason; a date is not worth the trouble."""
    value = headers.get("retry-after", "")
    return min(float(value), LONGEST_RETRY_S) if value.isdecimal() else None

"""Errors as Anthropic's clients expect them."""

from collections.abc import Mapping
from typing import Any

from lmx_hookspecs import JsonResponse

OVERLOADED_STATUS = 529
TYPES: Mapping[str, str] = {
    "invalid_api_key": "authentication_error",
    "admin_key_required": "permission_error",
    "origin_not_allowed": "permission_error",
    "host_not_allowed": "permission_error",
    "request_too_large": "request_too_large",
    "rate_limit_exceeded": "rate_limit_error",
    "overloaded": "overloaded_error",
    "timeout": "timeout_error",
}
"""By our code; what is not found has a code that ends so."""
NOT_FOUND = "not_found"
OF_THE_CLIENT = frozenset({"invalid_request_error", "conflict"})
"""Our types of errors that the client has to mend."""
NO_THREADS: Mapping[str, Any] = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
"""What the SDK's tool runner goes by: it then sends whole conversations instead of asking the server to keep them."""


def envelope(error: Mapping[str, Any], request_id: str) -> dict[str, Any]:
    """The body of an error, from that in the OpenAI shape."""
    told = error["error"]
    ours: dict[str, Any] = {"type": type_of(told["code"], told["type"]), "message": told["message"]}
    if (told["code"], told.get("param")) == ("unsupported_parameter", "thread"):
        ours["details"] = NO_THREADS
    return {"type": "error", "error": ours, "request_id": request_id}


def type_of(code: str, openai_type: str) -> str:
    """Anthropic's type of an error that has this code and this type in the OpenAI shape."""
    if code in TYPES:
        return TYPES[code]
    if code.endswith(NOT_FOUND):
        return "not_found_error"
    return "invalid_request_error" if openai_type in OF_THE_CLIENT else "api_error"


def answer(error: Mapping[str, Any], status: int, request_id: str) -> JsonResponse:
    """The whole answer: an overloaded server has a status of its own."""
    body = envelope(error, request_id)
    overloaded = body["error"]["type"] == "overloaded_error"
    return JsonResponse(
        body=body, status=OVERLOADED_STATUS if overloaded else status, headers={"request-id": request_id}
    )

"""What a handler sees of an HTTP request."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, get_args
from urllib.parse import parse_qsl

from attrs import field, frozen

from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.generation import Priority
from lmx_hookspecs.http import UploadedFile

PRIORITIES: tuple[Priority, ...] = get_args(Priority)
"""The highest first."""
MAX_LABEL = 128
"""Characters of a request id or client label; both end up in logs, the label in metrics too."""


@frozen(kw_only=True)
class HttpRequest:
    """The contract's Request."""

    id: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    path_params: Mapping[str, str] = field(factory=dict)
    parameters: Any = None
    body: Any = None
    unknown: Mapping[str, Any] = field(factory=dict)
    files: Sequence[UploadedFile] = ()
    key: str | None = None
    client: str | None = None
    priority: Priority = "normal"
    timeout_s: float | None = None
    lenient: bool = False


def headers_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """Header fields by their lower-case name; repeated ones joined with a comma (RFC 9110, 5.3)."""
    fields: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        fields[key] = f"{fields[key]}, {text}" if key in fields else text
    return fields


def query_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """Query parameters; the last of a repeated one."""
    return dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))


def client_of(headers: Mapping[str, str]) -> str | None:
    """The client's own label; raises InvalidRequest for one that would spoil a log line."""
    label = headers.get("x-client-id", "").strip()
    if label and not is_label(label):
        raise InvalidRequest(f"X-Client-ID must be at most {MAX_LABEL} printable ASCII characters", param="X-Client-ID")
    return label or None


def priority_of(headers: Mapping[str, str], ceiling: Priority = "high") -> Priority:
    """`X-Priority`, lowered to the ceiling; raises InvalidRequest for an unknown one."""
    wanted = headers.get("x-priority", "normal").strip().lower()
    for priority in PRIORITIES:
        if priority == wanted:
            return max(priority, ceiling, key=PRIORITIES.index)
    raise InvalidRequest(f"X-Priority must be one of {', '.join(PRIORITIES)}", param="X-Priority")


def timeout_of(headers: Mapping[str, str]) -> float | None:
    """`X-Timeout` in seconds; raises InvalidRequest unless it is a positive number."""
    text = headers.get("x-timeout")
    if text is None:
        return None
    try:
        timeout_s = float(text)
    except ValueError:
        timeout_s = 0.0
    if not (isfinite(timeout_s) and timeout_s > 0):
        raise InvalidRequest("X-Timeout must be a positive number of seconds", param="X-Timeout")
    return timeout_s


def lenient_of(headers: Mapping[str, str]) -> bool:
    """Whether unsupported parameters shall be dropped with a warning."""
    return headers.get("x-lmx-lenient", "").strip().lower() in ("1", "true")


def is_label(text: str) -> bool:
    """Short, printable ASCII."""
    return 0 < len(text) <= MAX_LABEL and text.isascii() and text.isprintable()

"""What an API means that answers with anything but 200, as errors that the kernel understands."""

import json
from collections.abc import Mapping
from typing import Any

from lmx_hookspecs import LmxError
from lmx_hookspecs.errors import Busy, EngineFailed, InvalidRequest, TooLarge, Unavailable

LONGEST_QUOTE = 300
"""Characters of its own words that are passed on."""
LONGEST_RETRY_S = 3600.0
OURS_TO_MEND: Mapping[int, str] = {
    401: "does not let us in; check its api_key",
    403: "does not let us in; check its api_key",
    404: "does not know this model, or is no address that reranks; check name and url",
}


def refusal(url: str, status: int, headers: Mapping[str, str], body: bytes) -> LmxError:
    """What is wrong with the request is the client's to know, all else the operator's."""
    said = _words(body)
    if status == 429:
        return Busy(f"{url} takes no more for now; try again later", retry_after_s=_retry_after_s(headers), detail=said)
    if status == 503:
        return Unavailable(
            f"{url} takes no work now; try again later",
            code="overloaded",
            retry_after_s=_retry_after_s(headers),
            detail=said,
        )
    if status == 413:
        return TooLarge(f"the request is too large for {url}: {said}")
    if status in (400, 422):
        return InvalidRequest(f"{url} refuses the request: {said}")
    message = f"{url} {OURS_TO_MEND.get(status, f'answered {status}')}"
    return EngineFailed(message, detail=f"{message}: {said}")


def _words(body: bytes) -> str:
    """Its message, on one line."""
    text = body.decode("utf-8", "replace")
    try:
        answer: Any = json.loads(text)
    except (ValueError, RecursionError):
        answer = None
    facts = answer if isinstance(answer, dict) else {}
    error = facts.get("error")
    told = error.get("message") if isinstance(error, dict) else error or facts.get("message") or facts.get("detail")
    return " ".join((told if isinstance(told, str) else text).split())[:LONGEST_QUOTE]


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "")
    return min(float(value), LONGEST_RETRY_S) if value.isdecimal() else None

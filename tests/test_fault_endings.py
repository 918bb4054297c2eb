import json
from typing import Any

import pytest

from fault_endings import DONE, MalformedError, outcome_of

DONE_EVENT = b"data: [DONE]\n\n"


def error(code: str) -> dict[str, Any]:
    return {"error": {"message": "m", "type": "server_error", "param": None, "code": code}}


def event(body: Any) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def chunk(finish_reason: str | None = None) -> bytes:
    return event({"choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]})


def streamed(*events: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    chunks = b"".join(f"{len(item):x}\r\n".encode() + item + b"\r\n" for item in events)
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + end


def answered(status: int, body: Any, *, lost: int = 0) -> bytes:
    raw = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
    return head.encode() + raw[: len(raw) - lost]


GOOD = {
    "a stream with its end": (streamed(chunk(), b": ping\n\n", chunk("stop"), DONE_EVENT), DONE),
    "an error event": (streamed(chunk(), event(error("engine_failed"))), "stream engine_failed"),
    "an answer": (answered(200, {"choices": [{"index": 0, "finish_reason": "stop"}]}), DONE),
    "an error": (answered(503, error("overloaded")), "503 overloaded"),
}
BAD = {
    "nothing": b"",
    "no last chunk": streamed(chunk("stop"), DONE_EVENT, end=b""),
    "a truncated chunk": streamed(chunk("stop"), DONE_EVENT, end=b"20\r\nhalf"),
    "no ending": streamed(chunk("stop")),
    "an error and an end": streamed(event(error("engine_failed")), DONE_EVENT),
    "two ends": streamed(chunk("stop"), DONE_EVENT, DONE_EVENT),
    "an end without a reason": streamed(chunk(), DONE_EVENT),
    "two reasons": streamed(chunk("stop"), chunk("stop"), DONE_EVENT),
    "half an event": streamed(chunk("stop"), DONE_EVENT, b"data: {"),
    "an unknown code": answered(500, error("made_up")),
    "a code with the wrong status": answered(500, error("overloaded")),
    "a truncated body": answered(503, error("overloaded"), lost=1),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_whole_answer_has_an_outcome(name: str) -> None:
    raw, outcome = GOOD[name]

    assert outcome_of(raw) == outcome


@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_malformed(name: str) -> None:
    with pytest.raises(MalformedError):
        outcome_of(BAD[name])

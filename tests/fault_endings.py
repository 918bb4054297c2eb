"""Judges the bytes that answered one request: they must be one whole HTTP answer with exactly one ending."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lmx.http.errors import KINDS

DONE = "200 done"
END_OF_HEAD = b"\r\n\r\n"
END_OF_EVENT = b"\n\n"


class MalformedError(Exception):
    """Something that no client should have to read."""


def outcome_of(raw: bytes) -> str:
    """`200 done`, `<status> <code>` of an error answer, or `stream <code>` of an error event; raises MalformedError."""
    head, separator, rest = raw.partition(END_OF_HEAD)
    if not separator:
        raise MalformedError("no answer" if not raw else "a head without an end")
    status, headers = _head(head)
    body = _body(headers, rest)
    if status != 200:
        return _error_answer(status, body)
    if headers.get("content-type", "").startswith("text/event-stream"):
        return _stream(body)
    return _whole(_json(body))


def _head(head: bytes) -> tuple[int, Mapping[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    if not first.startswith("HTTP/1.1 "):
        raise MalformedError(f"a status line {first!r}")
    fields = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in fields}


def _body(headers: Mapping[str, str], rest: bytes) -> bytes:
    if headers.get("transfer-encoding") == "chunked":
        return _dechunked(rest)
    if len(rest) != int(headers.get("content-length", -1)):
        raise MalformedError(f"{len(rest)} bytes of {headers.get('content-length')}")
    return rest


def _dechunked(rest: bytes) -> bytes:
    parts: list[bytes] = []
    while True:
        size_line, separator, rest = rest.partition(b"\r\n")
        if not separator:
            raise MalformedError("no last chunk")
        size_bytes = int(size_line, 16)
        part, end, rest = rest[:size_bytes], rest[size_bytes : size_bytes + 2], rest[size_bytes + 2 :]
        if len(part) < size_bytes or end != b"\r\n":
            raise MalformedError("a truncated chunk")
        if size_bytes == 0:
            break
        parts.append(part)
    if rest:
        raise MalformedError("bytes behind the last chunk")
    return b"".join(parts)


def _error_answer(status: int, body: bytes) -> str:
    code = _code(_json(body))
    if KINDS[code].status != status:
        raise MalformedError(f"{code} with status {status}")
    return f"{status} {code}"


def _stream(body: bytes) -> str:
    *blocks, tail = body.split(END_OF_EVENT)
    if tail:
        raise MalformedError(f"a truncated event {tail[:40]!r}")
    data = [_data(block) for block in blocks if not block.startswith(b":")]
    chunks = [_json(item) for item in data if item != b"[DONE]"]
    endings = [position for position, item in enumerate(data) if item == b"[DONE]" or "error" in _json_or_empty(item)]
    if endings != [len(data) - 1]:
        raise MalformedError(f"endings at {endings} of {len(data)} events")
    if data[-1] != b"[DONE]":
        return f"stream {_code(chunks[-1])}"
    _check_finished([choice for chunk in chunks for choice in chunk["choices"]])
    return DONE


def _data(block: bytes) -> bytes:
    if not block.startswith(b"data: ") or b"\n" in block:
        raise MalformedError(f"an event {block[:40]!r}")
    return block.removeprefix(b"data: ")


def _whole(answer: Mapping[str, Any]) -> str:
    _check_finished(answer["choices"])
    return DONE


def _check_finished(choices: Sequence[Mapping[str, Any]]) -> None:
    """Each choice has finished once."""
    finished = sorted(choice["index"] for choice in choices if choice["finish_reason"])
    if not finished or finished != sorted({choice["index"] for choice in choices}):
        raise MalformedError(f"finished choices {finished}")


def _code(answer: Mapping[str, Any]) -> str:
    error = answer.get("error")
    if not isinstance(error, dict) or set(error) != {"message", "type", "param", "code"} or error["code"] not in KINDS:
        raise MalformedError(f"an error {error!r}")
    return str(error["code"])


def _json_or_empty(item: bytes) -> Mapping[str, Any]:
    return {} if item == b"[DONE]" else _json(item)


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        raise MalformedError(f"no JSON: {body[:40]!r}") from None
    if not isinstance(answer, dict):
        raise MalformedError(f"no JSON object: {body[:40]!r}")
    return answer

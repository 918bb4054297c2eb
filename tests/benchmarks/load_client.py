"""A light streaming client for a process of its own: it reads raw sockets and parses only after the end.

So it measures the server and not itself.

Reads a JSON object `{host, port, path, bodies}` on standard input, sends all bodies at once, and prints one JSON
object: `wall_s`, `tokens` (the sum of the servers' own usage, or of content events where a server sends none),
`ttft_s` per request, `gaps_s` between content events.
"""

import json
import selectors
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from time import perf_counter
from typing import Any

READ_BYTES = 1 << 16
Reads = list[tuple[float, bytes]]
"""Everything that was read of an answer, with its time."""


def exchange(host: str, port: int, path: str, bodies: Sequence[Any]) -> tuple[list[float], list[Reads]]:
    """All requests at once, each over a connection of its own: when they were sent, and what was read."""
    began: list[float] = []
    reads: list[Reads] = [[] for _ in bodies]
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        connections = [stack.enter_context(socket.create_connection((host, port))) for _ in bodies]
        for connection, body, read in zip(connections, bodies, reads, strict=True):
            selector.register(connection, selectors.EVENT_READ, (connection, read))
            data = request(host, port, path, body)
            began.append(perf_counter())
            connection.sendall(data)
        while selector.get_map():
            for key, _ in selector.select():
                connection, read = key.data
                data = connection.recv(READ_BYTES)
                read.append((perf_counter(), data))
                if not data:
                    selector.unregister(connection)
    return began, reads


def request(host: str, port: int, path: str, body: Any) -> bytes:
    """As it goes over the wire."""
    raw = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(raw)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + raw


def events_of(reads: Reads) -> list[tuple[float, dict[str, Any]]]:
    """Every `data:` event with the time at which its last byte came, also where HTTP chunks split it."""
    events: list[tuple[float, dict[str, Any]]] = []
    held = b""
    for at, data in reads:
        held += data
        *lines, held = held.split(b"\n")
        events += [(at, json.loads(line[6:])) for line in lines if line.startswith(b"data: {")]
    return events


def summary(began: float, reads: Reads) -> dict[str, Any]:
    """Time to first token, gaps and token count of one request; ends the program where the server refused it."""
    events = events_of(reads)
    usage = next((event["usage"] for _, event in reversed(events) if event.get("usage")), None)
    times = [at for at, event in events if event.get("choices") and has_content(event["choices"][0])]
    if usage is None and not times:
        raise SystemExit(b"".join(data for _, data in reads)[:2000].decode(errors="replace"))
    return {
        "tokens": len(times) if usage is None else usage["completion_tokens"],
        "ttft_s": times[0] - began if times else None,
        "gaps_s": [later - earlier for earlier, later in pairwise(times)],
    }


def has_content(choice: dict[str, Any]) -> bool:
    """Whether this event carries generated text rather than the role or the end."""
    return bool(choice.get("text") or choice.get("delta", {}).get("content"))


def drive(host: str, port: int, path: str, bodies: Sequence[Any]) -> dict[str, Any]:
    """All requests at once."""
    at = perf_counter()
    began, reads = exchange(host, port, path, bodies)
    wall_s = perf_counter() - at
    summaries = [summary(*one) for one in zip(began, reads, strict=True)]
    return {
        "wall_s": wall_s,
        "tokens": sum(one["tokens"] for one in summaries),
        "ttft_s": [one["ttft_s"] for one in summaries],
        "gaps_s": [gap for one in summaries for gap in one["gaps_s"]],
    }


if __name__ == "__main__":
    print(json.dumps(drive(**json.load(sys.stdin))))

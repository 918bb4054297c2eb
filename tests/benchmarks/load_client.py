"""A light streaming client for a process of its own: it reads raw sockets and parses only after the end.

So it measures the server and not itself.

Reads a JSON object `{host, port, path, bodies}` on standard input, sends all bodies at once, and prints one JSON
object: `wall_s`, `tokens` (the sum of the servers' own usage, or of content events where a server sends none),
`ttft_s` per request, `gaps_s` between content events.
"""

import asyncio
import json
import sys
from itertools import pairwise
from time import perf_counter
from typing import Any

READ_BYTES = 1 << 16


async def stream(host: str, port: int, path: str, body: dict[str, Any]) -> tuple[float, list[tuple[float, bytes]]]:
    """One request over a fresh connection: when it was sent, and every read with its time."""
    raw = json.dumps(body).encode()
    reader, writer = await asyncio.open_connection(host, port)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(raw)}\r\nConnection: close\r\n\r\n"
    )
    began = perf_counter()
    writer.write(head.encode() + raw)
    reads: list[tuple[float, bytes]] = []
    while data := await reader.read(READ_BYTES):
        reads.append((perf_counter(), data))
    writer.close()
    return began, reads


def events_of(reads: list[tuple[float, bytes]]) -> list[tuple[float, dict[str, Any]]]:
    """Every `data:` event with the time at which its last byte came, also where HTTP chunks split it."""
    events: list[tuple[float, dict[str, Any]]] = []
    held = b""
    for at, data in reads:
        held += data
        *lines, held = held.split(b"\n")
        events += [(at, json.loads(line[6:])) for line in lines if line.startswith(b"data: {")]
    return events


def summary(began: float, reads: list[tuple[float, bytes]]) -> dict[str, Any]:
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


async def drive(host: str, port: int, path: str, bodies: list[dict[str, Any]]) -> dict[str, Any]:
    """All requests at once."""
    began = perf_counter()
    results = await asyncio.gather(*(stream(host, port, path, body) for body in bodies))
    wall_s = perf_counter() - began
    summaries = [summary(*result) for result in results]
    return {
        "wall_s": wall_s,
        "tokens": sum(one["tokens"] for one in summaries),
        "ttft_s": [one["ttft_s"] for one in summaries],
        "gaps_s": [gap for one in summaries for gap in one["gaps_s"]],
    }


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    print(json.dumps(asyncio.run(drive(asked["host"], asked["port"], asked["path"], asked["bodies"]))))

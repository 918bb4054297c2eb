"""A folder of sessions, as another program wrote them."""

import json
from pathlib import Path
from typing import Any

from http_support import Served

FULL = {
    "id": "abc-1",
    "title": "Tides",
    "model": "org/Big-Model",
    "tags": ["sea", "moon"],
    "created": "2026-01-01T10:00:00Z",
    "updated": "2026-01-03T10:00:00Z",
    "cwd": "/home/me",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Why is there ebb?"}, {"type": "image_url"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1"}]},
        {"role": "tool", "content": "42", "tool_call_id": "c1"},
    ],
    "toolCallCount": 1,
    "compacted": True,
}
BARE = {"created": "2026-01-02T10:00:00Z", "title": None, "model": "small", "tags": None, "messages": "none"}
LATEST = {
    "created": "2026-02-01T10:00:00+02:00",
    "title": "Lists",
    "model": "org/big-model",
    "tags": ["sea"],
    "messages": [{"role": "user", "content": "Tides, but as a list"}],
}
ENTRY = {"title": "From the index", "model": "m", "tags": [], "created": "2026-03-01T00:00:00Z", "messageCount": 9}


def write(path: Path, data: Any) -> None:
    """As JSON."""
    path.write_text(json.dumps(data))


def names(folder: Path) -> set[str]:
    """Of the files in it."""
    return {path.name for path in folder.iterdir()}


async def ids(server: Served, query: str = "") -> list[str]:
    """Of the listed sessions, in their order."""
    answer = (await server.ask("GET", f"/admin/sessions{query}")).json()
    return [session["id"] for session in answer["sessions"]]

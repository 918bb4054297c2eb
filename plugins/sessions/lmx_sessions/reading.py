"""From a session's JSON, as other programs wrote it, to what the API shows of it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import frozen


@frozen(kw_only=True)
class SessionSummary:
    """A session without its messages; the times are as its file has them, in ISO 8601."""

    id: str
    title: str
    model: str
    tags: Sequence[str]
    created: str
    updated: str
    message_count: int


@frozen(kw_only=True)
class SessionMessage:
    """One message; `content` is text, a list of parts, or null."""

    role: str
    content: Any = None
    tool_calls: Any = None
    tool_call_id: str | None = None


@frozen(kw_only=True)
class Session:
    """A whole session."""

    id: str
    title: str
    model: str
    tags: Sequence[str]
    created: str
    updated: str
    cwd: str
    messages: Sequence[SessionMessage]
    tool_call_count: int
    compacted: bool


def summary(session_id: str, data: Mapping[str, Any]) -> SessionSummary:
    """From an entry of the index, or from a whole file; what is missing or of another type counts as empty."""
    count = data.get("messageCount")
    return SessionSummary(
        id=session_id,
        title=_text(data, "title"),
        model=_text(data, "model"),
        tags=_texts(data, "tags"),
        created=_text(data, "created"),
        updated=_text(data, "updated"),
        message_count=count if type(count) is int else len(_messages(data)),
    )


def session(session_id: str, data: Mapping[str, Any]) -> Session:
    """From a whole file; what is missing or of another type counts as empty."""
    calls = data.get("toolCallCount")
    return Session(
        id=session_id,
        title=_text(data, "title"),
        model=_text(data, "model"),
        tags=_texts(data, "tags"),
        created=_text(data, "created"),
        updated=_text(data, "updated"),
        cwd=_text(data, "cwd"),
        messages=[_message(message) for message in _messages(data)],
        tool_call_count=calls if type(calls) is int else 0,
        compacted=data.get("compacted") is True,
    )


def first_user_text(data: Mapping[str, Any]) -> str:
    """What the user said first, without images; empty where nobody said anything."""
    contents = (message.get("content") for message in _messages(data) if message.get("role") == "user")
    content = next(contents, "")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(_text(part, "text") for part in parts if isinstance(part, Mapping))


def moment(text: str) -> datetime | None:
    """An ISO 8601 time, in UTC where it does not say; None for anything else."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _message(data: Mapping[str, Any]) -> SessionMessage:
    return SessionMessage(
        role=_text(data, "role"),
        content=data.get("content"),
        tool_calls=data.get("tool_calls"),
        tool_call_id=_text(data, "tool_call_id") or None,
    )


def _messages(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = data.get("messages")
    return [message for message in found if isinstance(message, Mapping)] if isinstance(found, list) else []


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _texts(data: Mapping[str, Any], key: str) -> list[str]:
    value = data.get(key)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

"""The items of an input: checked, and brought into the one form in which they are kept and listed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from lmx_hookspecs.errors import InvalidRequest, UnsupportedParameter
from lmx_hookspecs.generation import Role
from lmx_responses.requests import MAX_ID, MAX_ITEMS

Item = Mapping[str, Any]
NewId = Callable[[str], str]
"""Makes an id with that prefix."""
ROLES = tuple(role for role in get_args(Role) if role != "tool")
REFERENCE = "item_reference"
TEXT_PARTS = ("input_text", "output_text", "text", "refusal")


def input_items(given: str | Sequence[Item] | None, new_id: NewId) -> list[Item]:
    """References stay as they are; raises InvalidRequest and UnsupportedParameter, naming the item."""
    if given is None:
        return []
    if isinstance(given, str):
        return [_message({"role": "user", "content": given}, "input", new_id)]
    if len(given) > MAX_ITEMS:
        raise InvalidRequest(f"input has more than {MAX_ITEMS} items", param="input")
    return [_item(item, f"input[{place}]", new_id) for place, item in enumerate(given)]


def _item(item: Item, place: str, new_id: NewId) -> Item:
    kind = item.get("type") or ("message" if "role" in item else REFERENCE if "id" in item else None)
    reader = READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise UnsupportedParameter(
            f"{place}: items of type {kind!r} are not supported by this server; there are {', '.join(READERS)}",
            param=place,
        )
    return reader(item, place, new_id)


def _message(item: Item, place: str, new_id: NewId) -> Item:
    role = item.get("role")
    if role not in ROLES:
        raise InvalidRequest(f"{place}.role must be one of {', '.join(ROLES)}", param=f"{place}.role")
    kind = "output_text" if role == "assistant" else "input_text"
    content = _parts(item.get("content"), f"{place}.content", kind)
    if role == "assistant":
        content = [{**part, "annotations": []} for part in content]
    return {
        "id": _id(item, place, "msg_", new_id),
        "type": "message",
        "status": "completed",
        "role": role,
        "content": content,
    }


def _call(item: Item, place: str, new_id: NewId) -> Item:
    return {
        "id": _id(item, place, "fc_", new_id),
        "type": "function_call",
        "status": "completed",
        "call_id": _text(item, "call_id", place, needed=True),
        "name": _text(item, "name", place, needed=True),
        "arguments": _text(item, "arguments", place),
    }


def _result(item: Item, place: str, new_id: NewId) -> Item:
    output = item.get("output")
    if not isinstance(output, str):
        output = _parts(output, f"{place}.output", "input_text")
    return {
        "id": _id(item, place, "fco_", new_id),
        "type": "function_call_output",
        "status": "completed",
        "call_id": _text(item, "call_id", place, needed=True),
        "output": output,
    }


def _reasoning(item: Item, place: str, new_id: NewId) -> Item:
    texts = {
        field: [{"type": kind, "text": text} for text in _texts(item.get(field) or [], f"{place}.{field}", (kind,))]
        for field, kind in (("summary", "summary_text"), ("content", "reasoning_text"))
    }
    if item.get("encrypted_content") is not None and not texts["content"]:
        raise UnsupportedParameter(
            f"{place}.encrypted_content was written by another server and cannot be read here; leave the item out",
            param=f"{place}.encrypted_content",
        )
    return {"id": _id(item, place, "rs_", new_id), "type": "reasoning", "status": "completed", **texts}


def _search(item: Item, place: str, new_id: NewId) -> Item:
    """One of an earlier response."""
    queries = item.get("queries") or []
    if not isinstance(queries, Sequence) or isinstance(queries, str):
        raise InvalidRequest(f"{place}.queries must be a list of texts", param=f"{place}.queries")
    return {
        "id": _id(item, place, "fs_", new_id),
        "type": "file_search_call",
        "status": "completed",
        "queries": list(queries),
        "results": None,
    }


def _reference(item: Item, place: str, _: NewId) -> Item:
    return {"type": REFERENCE, "id": _text(item, "id", place, needed=True)}


READERS: Mapping[str, Callable[[Item, str, NewId], Item]] = {
    "message": _message,
    "function_call": _call,
    "function_call_output": _result,
    "reasoning": _reasoning,
    "file_search_call": _search,
    REFERENCE: _reference,
}


def _parts(content: Any, place: str, kind: str) -> list[dict[str, Any]]:
    """Parts of that type; plain text is one."""
    if isinstance(content, str):
        return [{"type": kind, "text": content}]
    return [{"type": kind, "text": text} for text in _texts(content, place, TEXT_PARTS)]


def _texts(parts: Any, place: str, kinds: Sequence[str]) -> list[str]:
    if not isinstance(parts, Sequence) or isinstance(parts, str):
        raise InvalidRequest(f"{place} must be a text or a list of parts", param=place)
    return [_part(part, f"{place}[{position}]", kinds) for position, part in enumerate(parts)]


def _part(part: Any, place: str, kinds: Sequence[str]) -> str:
    if not isinstance(part, Mapping):
        raise InvalidRequest(f"{place} must be an object", param=place)
    kind = part.get("type")
    if kind not in kinds:
        raise UnsupportedParameter(
            f"{place}: parts of type {kind!r} are not supported by this server; send text ({', '.join(kinds)})",
            param=place,
        )
    return _text(part, "refusal" if kind == "refusal" else "text", place)


def _text(item: Item, field: str, place: str, *, needed: bool = False) -> str:
    value = item.get(field)
    if not isinstance(value, str) or (needed and not value):
        raise InvalidRequest(
            f"{place}.{field} must be a{' non-empty' if needed else ''} string", param=f"{place}.{field}"
        )
    return value


def _id(item: Item, place: str, prefix: str, new_id: NewId) -> str:
    given = item.get("id")
    if given is None:
        return new_id(prefix)
    if not isinstance(given, str) or not 0 < len(given) <= MAX_ID:
        raise InvalidRequest(f"{place}.id must be a string of 1 to {MAX_ID} characters", param=f"{place}.id")
    return given

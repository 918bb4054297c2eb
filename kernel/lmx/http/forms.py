"""The texts of a form as plain data, such as a JSON body would hold: what the body's class says they are."""

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from lmx.http.bodies import MAX_NAME, Body, fit, load_json
from lmx_hookspecs.errors import InvalidRequest

BRACKETS = re.compile(r"([^\[\]]+)\[([^\[\]]*)\]")
"""`list[]` and `object[key]`, as many clients write what a form has no words for."""
UNIONS: Sequence[Any] = (Union, UnionType)
Texts = Sequence[tuple[str, str]]
Kinds = Sequence[Any]
"""The members of a union; a type that is none is alone."""


@attrs.frozen
class Nothing:
    """The body of a route without one."""


def parse(texts: Texts, cls: type | None, *, allow_unknown: bool) -> Body:
    """Validate a form's texts against `cls`; raises InvalidRequest with the path of the first problem as `param`."""
    body = fit(data_of(texts, cls), cls or Nothing, allow_unknown=allow_unknown)
    return body if cls else Body(None, body.unknown)


def data_of(texts: Texts, cls: type | None) -> dict[str, Any]:
    """Plain data for `cls`; what is not text there is read as JSON. Raises InvalidRequest that names the field."""
    types = _types(cls)
    plain, members = _sorted(texts, types)
    data = {name: _value(name, found, types.get(name, str)) for name, found in plain.items()}
    for name, entries in members.items():
        if name in data:
            raise InvalidRequest(f"{_short(name)}: is there both as a whole and in parts; send one", param=_short(name))
        data[name] = _object(name, entries, types.get(name, Any))
    return data


def _types(cls: type | None) -> Mapping[str, Any]:
    if cls is None:
        return {}
    attrs.resolve_types(cls)
    return {part.name: part.type for part in attrs.fields(cls)}


def _sorted(texts: Texts, types: Mapping[str, Any]) -> tuple[dict[str, list[str]], dict[str, list[tuple[str, str]]]]:
    plain: dict[str, list[str]] = {}
    members: dict[str, list[tuple[str, str]]] = {}
    for name, text in texts:
        match = None if name in types else BRACKETS.fullmatch(name)
        if match is not None and match.group(2):
            members.setdefault(match.group(1), []).append((match.group(2), text))
        else:
            plain.setdefault(match.group(1) if match else name, []).append(text)
    return plain, members


def _object(name: str, entries: Sequence[tuple[str, str]], kind: Any) -> dict[str, Any]:
    inner = next((member for member in _kinds(kind) if attrs.has(member)), None)
    types = _types(inner)
    found: dict[str, list[str]] = {}
    for key, text in entries:
        found.setdefault(key, []).append(text)
    return {key: _value(f"{name}[{key}]", one, types.get(key, str)) for key, one in found.items()}


def _value(name: str, texts: Sequence[str], kind: Any) -> Any:
    kinds = _kinds(kind)
    item = next((_item(member) for member in kinds if _is_list(member)), None)
    if item is not None:
        return _list(name, texts, item)
    if len(texts) > 1:
        raise InvalidRequest(f"{_short(name)}: is there {len(texts)} times; send it once", param=_short(name))
    return texts[0] if _takes_text(kinds) else _json(name, texts[0])


def _list(name: str, texts: Sequence[str], item: Any) -> Any:
    """One text may be the whole list in JSON; else each is an item."""
    of_text = _takes_text(_kinds(item))
    if len(texts) > 1:
        return [text if of_text else _json(name, text) for text in texts]
    try:
        whole = load_json(texts[0])
    except InvalidRequest:
        whole = texts[0] if of_text else _json(name, texts[0])
    if isinstance(whole, list | dict) or whole is None:
        return whole
    return [texts[0] if of_text else whole]


def _json(name: str, text: str) -> Any:
    try:
        return load_json(text, "it")
    except InvalidRequest as error:
        raise InvalidRequest(
            f'{_short(name)}: is read as JSON here, such as 5, true, ["a"] or {{"a": 1}}; {error.message}',
            param=_short(name),
        ) from error


def _kinds(kind: Any) -> Kinds:
    return get_args(kind) if get_origin(kind) in UNIONS else (kind,)


def _is_list(kind: Any) -> bool:
    shape = get_origin(kind) or kind
    return isinstance(shape, type) and issubclass(shape, Sequence) and not issubclass(shape, str | bytes)


def _item(kind: Any) -> Any:
    arguments = get_args(kind)
    return arguments[0] if arguments else Any


def _takes_text(kinds: Kinds) -> bool:
    return any(kind is str or _is_choice(kind) for kind in kinds)


def _is_choice(kind: Any) -> bool:
    """Of texts."""
    if isinstance(kind, type):
        return issubclass(kind, Enum)
    origin: Any = get_origin(kind)
    return origin is Literal and all(isinstance(choice, str) for choice in get_args(kind))


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}…"

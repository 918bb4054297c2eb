"""Bodies of calls in XML's manner, with bare values: Qwen3-Coder, GLM, MiniMax, DeepSeek V3.2."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lmx_dialects.call_object import NotACall, call_of
from lmx_dialects.tagged_calls import Call, Schemas
from lmx_dialects.typed import object_of, properties_of, typed, written_object

_FUNCTION = re.compile(r"\s*<function=([^>]*)>(.*?)</function>(?=\s*(?:<function=|\Z))", re.DOTALL)
_PARAMETER = re.compile(r"\s*<parameter=([^>]*)>(.*?)</parameter>(?=\s*(?:<parameter=|\Z))", re.DOTALL)
_GLM_NAME = re.compile(r"\s*([^\s<>]+)\s*")
_GLM_KEY = re.compile(r"\s*<arg_key>(.*?)</arg_key>\s*<arg_value>", re.DOTALL)
_GLM_VALUE = re.compile(r"(.*?)</arg_value>(?=\s*(?:<arg_key>|\Z))", re.DOTALL)
"""Apart from the key: one pattern for both would try every value again for every end that the key may have."""
_INVOKE = re.compile(r"\s*<invoke name=([^>]*)>(.*?)</invoke>(?=\s*(?:<invoke|\Z))", re.DOTALL)
_NAMED = re.compile(r"\s*<parameter name=([^>]*)>(.*?)</parameter>(?=\s*(?:<parameter|\Z))", re.DOTALL)
_DSML_MARK = "｜DSML｜"
_TOLD: Mapping[str, Mapping[str, Any]] = {
    "true": {"type": "string"},
    "false": {"type": ["object", "array", "integer", "number", "boolean", "null"]},
}
_STRING = re.compile(r'^("[^"]*"|[^\s]+)\s+string="(true|false)"$')


def qwen_calls(body: str, schemas: Schemas) -> Sequence[Call]:
    """`<function=name><parameter=key>value</parameter></function>`, a line break around each value; or JSON."""
    if body.lstrip().startswith("{"):
        return [_from_json(body)]
    return [
        (name, object_of([(key, _unbroken(value)) for key, value in _all(_PARAMETER, inner)], schemas.get(name, {})))
        for name, inner in _all(_FUNCTION, body)
    ]


def glm_calls(body: str, schemas: Schemas) -> Sequence[Call]:
    """`name<arg_key>key</arg_key><arg_value>value</arg_value>`; or JSON, into which some of these models fall back."""
    if body.lstrip().startswith("{"):
        return [_from_json(body)]
    match = _GLM_NAME.match(body)
    if not match:
        raise NotACall("names no function")
    name, rest = match.group(1), body[match.end() :]
    pairs = list(_glm_arguments(rest))
    return [(name, object_of([(key.strip(), _unbroken(value)) for key, value in pairs], schemas.get(name, {})))]


def invoke_calls(body: str, schemas: Schemas) -> Sequence[Call]:
    """`<invoke name="name"><parameter name="key">value</parameter></invoke>`, several in a body."""
    return [_invoked(_unquoted(name), inner, schemas) for name, inner in _all(_INVOKE, body)]


def dsml_calls(body: str, schemas: Schemas) -> Sequence[Call]:
    """The same with DeepSeek's mark in each tag, where a parameter says whether it is a string."""
    for opening in ("<", "</"):
        for word in ("invoke", "parameter"):
            body = body.replace(f"{opening}{_DSML_MARK}{word}", f"{opening}{word}")
    return invoke_calls(body, schemas)


def _invoked(name: str, inner: str, schemas: Schemas) -> Call:
    schema = schemas.get(name, {})
    properties = properties_of(schema)
    members: dict[str, str] = {}
    for head, value in _all(_NAMED, inner):
        told = _STRING.match(head)
        key = _unquoted(told.group(1) if told else head)
        wanted = _TOLD[told.group(2)] if told else properties.get(key)
        members[key] = typed(_unbroken(value), wanted, schema)
    return name, written_object(members)


def _all(pattern: re.Pattern[str], text: str) -> Iterator[tuple[str, str]]:
    """Every match, one right behind the other; raises NotACall for anything else between them."""
    at, found = 0, False
    while match := pattern.match(text, at):
        at, found = match.end(), True
        yield match.group(1).strip(), match.group(2)
    if text[at:].strip():
        raise NotACall("does not have the form of one")
    if not found and pattern in (_FUNCTION, _INVOKE):
        raise NotACall("names no function")


def _glm_arguments(text: str) -> Iterator[tuple[str, str]]:
    """Every key with its value; raises NotACall for anything else between them."""
    at = 0
    while key := _GLM_KEY.match(text, at):
        value = _GLM_VALUE.match(text, key.end())
        if not value:
            break
        at = value.end()
        yield key.group(1), value.group(1)
    if text[at:].strip():
        raise NotACall("does not have the form of one")


def _unbroken(value: str) -> str:
    """Without the one line break that the format puts before and after a value."""
    return value.removeprefix("\n").removesuffix("\n")


def _unquoted(name: str) -> str:
    name = name.strip()
    return name[1:-1] if len(name) > 1 and name[0] == name[-1] and name[0] in "\"'" else name


def _from_json(body: str) -> Call:
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotACall("is not valid JSON") from error
    return call_of({key: json.dumps(value, ensure_ascii=False) for key, value in values.items()})

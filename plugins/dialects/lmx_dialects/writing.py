"""How calls are written in each dialect, for requests in which the model has to make one."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lmx_dialects import markup
from lmx_dialects.typed import UNTYPED, followed, typed, types_of, values_of
from lmx_hookspecs import CallPart, CallSyntax, JsonValue, OneOf, Perhaps, TextUntil

Schema = Mapping[str, Any]
Write = Callable[[str, Schema], Sequence[CallPart]]


def _named(before: str, key: str, after: str) -> Write:
    """A JSON object with a name and arguments."""

    def write(name: str, parameters: Schema) -> Sequence[CallPart]:
        return [f'{before}{{"name": {json.dumps(name)}, "{key}": ', JsonValue(parameters), f"}}{after}"]

    return write


def _headed(before: str, after_name: str, after: str) -> Write:
    """A name, then the arguments as a JSON object."""
    return lambda name, parameters: [f"{before}{name}{after_name}", JsonValue(parameters), after]


def _elements(before: str, parameter: Callable[[str], tuple[str, str]], after: str) -> Write:
    """An element for each parameter, strings as they are and everything else as JSON; `{}` in `before` is the name."""

    def write(name: str, parameters: Schema) -> Sequence[CallPart]:
        return [before.replace("{}", name), *_parameters(parameters, parameter), after]

    return write


def _parameters(schema: Schema, parameter: Callable[[str], tuple[str, str]]) -> Iterator[CallPart]:
    """In the order of the schema, those that are not required perhaps."""
    properties, required = schema.get("properties") or {}, schema.get("required") or ()
    for name, inner in properties.items():
        if inner is False and name not in required:
            continue
        opening, closing = parameter(name)
        parts = [opening, *_value(_schema(inner), schema, closing)]
        yield from parts if name in required else [Perhaps(parts)]


def _schema(inner: Any) -> Schema:
    """`true` lets everything through."""
    return inner if isinstance(inner, Mapping) else {}


def _value(schema: Schema, root: Schema, closing: str) -> Sequence[CallPart]:
    """Where a text may be one, it stands as it is; a pattern that it should have is the model's matter."""
    types = tuple(types_of(schema, root)) or UNTYPED
    if "string" not in types:
        shared = {key: root[key] for key in ("$defs", "definitions") if key in root}
        return [JsonValue({**shared, **schema}), closing]
    choices = _choices(schema, root)
    if choices:
        return [OneOf(choices), closing]
    plain = followed(schema, root)
    if set(types) == {"string"}:
        least, most = (_length(plain.get(word)) for word in ("minLength", "maxLength"))
        return [TextUntil(closing, least or 0, most)]
    return [TextUntil(closing)]


def _length(told: Any) -> int | None:
    return told if isinstance(told, int) and told >= 0 else None


def _choices(schema: Schema, root: Schema) -> Sequence[str]:
    """The values that there are, as the reader reads each of them back; nothing where there may be others."""
    values = values_of(schema, root)
    written = [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values]
    pairs = zip(written, values, strict=True)
    return [text for text, value in pairs if json.loads(typed(text, schema, root)) == value]


HERMES = CallSyntax(call=_named("<tool_call>\n", "arguments", "\n</tool_call>"), between="\n")
LLAMA_JSON = CallSyntax(call=_named("", "parameters", ""), several=False)
MISTRAL = CallSyntax(call=_named("", "arguments", ""), begin="[TOOL_CALLS][", between=", ", end="]")
DEEPSEEK = CallSyntax(
    call=_headed(markup.DEEPSEEK_CALL[0], markup.DEEPSEEK_SEPARATOR, markup.DEEPSEEK_CALL[1]),
    begin=markup.DEEPSEEK_SECTION[0],
    end=markup.DEEPSEEK_SECTION[1],
)
KIMI = CallSyntax(
    call=_headed(f"{markup.KIMI_CALL[0]}functions.", f":0{markup.KIMI_ARGUMENTS}", markup.KIMI_CALL[1]),
    begin=markup.KIMI_SECTION[0],
    end=markup.KIMI_SECTION[1],
    several=False,  # the number of a call is part of its head
)
QWEN_CODER = CallSyntax(
    call=_elements(
        "<tool_call>\n<function={}>\n",
        lambda name: (f"<parameter={name}>\n", "\n</parameter>\n"),
        "</function>\n</tool_call>",
    ),
    between="\n",
)
GLM = CallSyntax(
    call=_elements(
        "<tool_call>{}\n",
        lambda name: (f"<arg_key>{name}</arg_key>\n<arg_value>", "</arg_value>\n"),
        "</tool_call>",
    ),
    between="\n",
)
MINIMAX = CallSyntax(
    call=_elements(
        '<invoke name="{}">\n',
        lambda name: (f'<parameter name="{name}">', "</parameter>\n"),
        "</invoke>\n",
    ),
    begin=f"{markup.MINIMAX[0]}\n",
    end=markup.MINIMAX[1],
)

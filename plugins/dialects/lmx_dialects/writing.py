"""How calls are written in each dialect, for requests in which the model has to make one."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lmx_dialects import markup
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
    shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    for name, inner in properties.items():
        opening, closing = parameter(name)
        parts = [opening, *_value({**shared, **inner}, closing)]
        yield from parts if name in required else [Perhaps(parts)]


def _value(schema: Schema, closing: str) -> Sequence[CallPart]:
    """Texts stand as they are; a pattern that they should have is the model's matter."""
    choices = [schema["const"]] if "const" in schema else schema.get("enum") or ()
    if choices and all(isinstance(choice, str) for choice in choices):
        return [OneOf(choices), closing]
    if schema.get("type") == "string":
        return [TextUntil(closing, schema.get("minLength", 0), schema.get("maxLength"))]
    return [JsonValue(schema), closing]


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

"""Tools: from the flat form of this API to the one that models are shown.

A tool that the server itself runs, `file_search` for one, gets its place in `READERS`, and its calls an item of their
own in `outputs.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from lmx_hookspecs.errors import InvalidRequest, UnsupportedParameter
from lmx_hookspecs.functions import check_parameters, checked_function_name

Tool = Mapping[str, Any]
Reader = Callable[[Tool, str], Tool]
CHOICES = ("auto", "none", "required")
FUNCTION_FIELDS = ("name", "description", "parameters", "strict")


@frozen
class Toolbox:
    """What the model may call, and what it has to."""

    tools: Sequence[Tool] = ()
    """As chats have them."""
    choice: str | Mapping[str, Any] | None = None
    """A call that has to be made: `required`, or the one function; None leaves it to the model."""


def toolbox(tools: Sequence[Tool], choice: str | Mapping[str, Any] | None) -> Toolbox:
    """Raises InvalidRequest for what cannot be meant, UnsupportedParameter for tools that do not run here."""
    functions = _functions(tools)
    if choice is None or choice == "auto":
        return Toolbox(tuple(functions.values()))
    if choice == "none":
        return Toolbox()
    if not functions:
        raise InvalidRequest("tool_choice needs tools", param="tool_choice")
    if choice == "required":
        return Toolbox(tuple(functions.values()), "required")
    if isinstance(choice, str):
        raise InvalidRequest(
            f"tool_choice must be one of {', '.join(CHOICES)}, or an object of type function or allowed_tools",
            param="tool_choice",
        )
    if choice.get("type") == "allowed_tools":
        return _allowed(choice, functions)
    return Toolbox(tuple(functions.values()), {"type": "function", "function": {"name": _named(choice, functions)}})


def _functions(tools: Sequence[Tool]) -> Mapping[str, Tool]:
    functions: dict[str, Tool] = {}
    for place, tool in enumerate(tools):
        kind = tool.get("type")
        reader = READERS.get(kind) if isinstance(kind, str) else None
        if reader is None:
            raise UnsupportedParameter(
                f"tools[{place}]: tools of type {kind!r} do not run on this server; send tools of type function",
                param=f"tools[{place}]",
            )
        function = reader(tool, f"tools[{place}]")
        name = function["function"]["name"]
        if name in functions:
            raise InvalidRequest(
                f"tools[{place}] has the name {name!r}, which a tool before it has; names are unique",
                param=f"tools[{place}].name",
            )
        functions[name] = function
    return functions


def _function(tool: Tool, place: str) -> Tool:
    name, parameters = tool.get("name"), tool.get("parameters")
    checked_function_name(name, f"{place}.name")
    check_parameters(parameters, f"{place}.parameters")
    told = {field: tool[field] for field in FUNCTION_FIELDS if tool.get(field) is not None}
    return {"type": "function", "function": told}


READERS: Mapping[str, Reader] = {"function": _function}


def _allowed(choice: Mapping[str, Any], functions: Mapping[str, Tool]) -> Toolbox:
    mode, listed = choice.get("mode", "auto"), choice.get("tools")
    if mode not in ("auto", "required") or not isinstance(listed, Sequence) or isinstance(listed, str) or not listed:
        raise InvalidRequest(
            "tool_choice of type allowed_tools needs a mode, auto or required, and tools", param="tool_choice"
        )
    names = [_named(one, functions) for one in listed]
    return Toolbox(tuple(functions[name] for name in dict.fromkeys(names)), "required" if mode == "required" else None)


def _named(choice: Any, functions: Mapping[str, Tool]) -> str:
    name = choice.get("name") if isinstance(choice, Mapping) and choice.get("type") == "function" else None
    if not isinstance(name, str) or name not in functions:
        raise InvalidRequest("tool_choice must name functions of tools", param="tool_choice")
    return name

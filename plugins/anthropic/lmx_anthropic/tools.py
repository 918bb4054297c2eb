"""Tools on their way to the model: functions, and the choice among them."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmx_anthropic.requests import Blocks
from lmx_anthropic.unknown import Unsupported
from lmx_hookspecs.errors import InvalidRequest, UnsupportedParameter
from lmx_hookspecs.functions import check_parameters, checked_function_name

MAX_QUOTED = 256
KNOWN = frozenset({"type", "name", "description", "input_schema"})
HINTS = frozenset({"allowed_callers", "defer_loading", "eager_input_streaming", "input_examples"})
"""How tools are fetched, called and sent elsewhere; here every tool is shown to the model as it is."""
CHOICES = ("auto", "any", "tool", "none")
CHOICE_FIELDS = frozenset({"type", "name", "disable_parallel_tool_use"})


def functions(tools: Blocks, unsupported: Unsupported) -> Sequence[Mapping[str, Any]]:
    """The tools as functions; raises InvalidRequest for a bad one, UnsupportedParameter for one of Anthropic's own."""
    made: list[Mapping[str, Any]] = []
    names: dict[str, int] = {}
    for index, tool in enumerate(tools):
        place = f"tools[{index}]"
        function = _function(tool, place)
        unsupported.check(tool, KNOWN | HINTS, place)
        name = function["name"]
        if name in names:
            raise InvalidRequest(
                f"{place} has the name {name!r}, and so has tools[{names[name]}]; names are unique",
                param=f"{place}.name",
            )
        names[name] = index
        made.append({"type": "function", "function": function})
    return tuple(made)


def choice_of(
    chosen: Mapping[str, Any] | None, tools: Sequence[Mapping[str, Any]], unsupported: Unsupported
) -> str | Mapping[str, Any] | None:
    """What the model has to do: None where it may do as it likes; raises InvalidRequest for what cannot be meant."""
    if chosen is None:
        return None
    kind = chosen.get("type")
    if kind not in CHOICES:
        raise InvalidRequest(f"tool_choice.type must be one of {', '.join(CHOICES)}", param="tool_choice.type")
    unsupported.check(chosen, CHOICE_FIELDS, "tool_choice")
    if kind in ("auto", "none"):
        return None
    if not tools:
        raise InvalidRequest("tool_choice needs tools", param="tool_choice")
    if kind == "any":
        return "required"
    name = chosen.get("name")
    if name not in [tool["function"]["name"] for tool in tools]:
        raise InvalidRequest("tool_choice.name must be that of one of the tools", param="tool_choice.name")
    return {"type": "function", "function": {"name": name}}


def is_parallel(chosen: Mapping[str, Any] | None) -> bool:
    """Whether there may be several calls; raises InvalidRequest."""
    disabled = (chosen or {}).get("disable_parallel_tool_use")
    if disabled not in (None, True, False):
        raise InvalidRequest(
            "tool_choice.disable_parallel_tool_use must be true or false",
            param="tool_choice.disable_parallel_tool_use",
        )
    return not disabled


def _function(tool: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    if tool.get("type") not in (None, "custom"):
        raise UnsupportedParameter(
            f"{place}: tools of type {str(tool['type'])[:MAX_QUOTED]!r} are not supported by this server; send tools "
            "with an input_schema, and answer their calls yourself",
            param=place,
        )
    name, schema, description = tool.get("name"), tool.get("input_schema"), tool.get("description")
    if not isinstance(schema, Mapping):
        raise InvalidRequest(f"{place}.input_schema must be a JSON schema, an object", param=f"{place}.input_schema")
    check_parameters(schema, f"{place}.input_schema")
    if not isinstance(description, str | None):
        raise InvalidRequest(f"{place}.description must be a text", param=f"{place}.description")
    described = {} if description is None else {"description": description}
    return {"name": checked_function_name(name, f"{place}.name"), **described, "parameters": schema}

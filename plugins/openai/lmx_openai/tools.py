"""What a request says of tools: the functions, the choice among them, and the calls and results of earlier turns."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.functions import check_parameters, checked_function_name
from lmx_openai.requests import ChatMessage, ToolCall

CHOICES = ("auto", "none", "required")


def checked_tools(tools: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The same tools; raises InvalidRequest for one that is no function with a schema, or has the name of another."""
    names: dict[str, int] = {}
    for place, tool in enumerate(tools):
        name = _name(tool, f"tools[{place}]")
        if name in names:
            raise InvalidRequest(
                f"tools[{place}] has the name {name!r}, and so has tools[{names[name]}]; names are unique",
                param=f"tools[{place}].function.name",
            )
        names[name] = place
        check_parameters(tool["function"].get("parameters"), f"tools[{place}].function.parameters")
    return tools


def checked_choice(
    choice: str | Mapping[str, Any] | None, tools: Sequence[Mapping[str, Any]]
) -> str | Mapping[str, Any] | None:
    """What the model has to do: None where it may do as it likes. Raises InvalidRequest for what cannot be meant."""
    if choice is None or choice in ("auto", "none"):
        return None
    if not tools:
        raise InvalidRequest("tool_choice needs tools", param="tool_choice")
    if isinstance(choice, str):
        if choice not in CHOICES:
            raise InvalidRequest(
                f"tool_choice must be one of {', '.join(CHOICES)}, or a function of tools", param="tool_choice"
            )
        return choice
    function = choice.get("function")
    name = function.get("name") if isinstance(function, Mapping) else None
    if choice.get("type") != "function" or name not in [tool["function"]["name"] for tool in tools]:
        raise InvalidRequest("tool_choice must name a function of tools", param="tool_choice")
    return choice


def check_results(messages: Sequence[ChatMessage]) -> None:
    """Raises InvalidRequest for a tool's result that answers no call before it, or one that is answered already."""
    open_calls: set[str] = set()
    for place, message in enumerate(messages):
        if message.role == "assistant":
            open_calls.update(call.id for call in message.tool_calls or ())
        elif message.role == "tool" and message.tool_call_id:
            if message.tool_call_id not in open_calls:
                raise InvalidRequest(
                    f"messages[{place}] answers the call {message.tool_call_id!r}, which no message before it makes",
                    param=f"messages[{place}].tool_call_id",
                )
            open_calls.discard(message.tool_call_id)


def plain_call(call: ToolCall) -> Mapping[str, Any]:
    """A call of an earlier answer as templates know it."""
    return {
        "id": call.id,
        "type": call.type,
        "function": {"name": call.function.name, "arguments": call.function.arguments},
    }


def _name(tool: Mapping[str, Any], place: str) -> str:
    function = tool.get("function")
    name = function.get("name") if isinstance(function, Mapping) else None
    if tool.get("type") != "function" or not name:
        raise InvalidRequest(f"{place} must be of type function, with a function that has a name", param=place)
    return checked_function_name(name, f"{place}.function.name")

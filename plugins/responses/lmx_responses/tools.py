"""Tools: from the flat form of this API to the one that models are shown.

`file_search` runs on the server itself: `searching.py` offers it to the model as a function, and answers its calls.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from lmx_hookspecs.errors import InvalidRequest, UnsupportedParameter
from lmx_hookspecs.functions import check_parameters, checked_function_name
from lmx_responses.file_search import NAME as FILE_SEARCH
from lmx_responses.file_search import FileSearch, file_search

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
    search: FileSearch | None = None
    """Files that may be searched."""
    search_first: bool = False
    """They have to be, so they are before the model begins."""


def toolbox(tools: Sequence[Tool], choice: str | Mapping[str, Any] | None) -> Toolbox:
    """Raises InvalidRequest for what cannot be meant, UnsupportedParameter for tools that do not run here."""
    search = _search(tools)
    functions = _functions(tools, search)
    if choice is None or choice == "auto":
        return Toolbox(tuple(functions.values()), search=search)
    if choice == "none":
        return Toolbox()
    if not functions and search is None:
        raise InvalidRequest("tool_choice needs tools", param="tool_choice")
    if choice == "required":
        return _required(functions, search)
    if isinstance(choice, str):
        raise InvalidRequest(
            f"tool_choice must be one of {', '.join(CHOICES)}, or an object of type function, file_search or "
            "allowed_tools",
            param="tool_choice",
        )
    if choice.get("type") == "allowed_tools":
        return _allowed(choice, functions, search)
    if choice.get("type") == FILE_SEARCH and search is not None:
        return Toolbox(tuple(functions.values()), search=search, search_first=True)
    return Toolbox(tuple(functions.values()), {"type": "function", "function": {"name": _named(choice, functions)}})


def _search(tools: Sequence[Tool]) -> FileSearch | None:
    found = [
        file_search(tool, f"tools[{place}]") for place, tool in enumerate(tools) if tool.get("type") == FILE_SEARCH
    ]
    if len(found) > 1:
        raise InvalidRequest(
            f"{found[1].place} is a second file_search; name all vector stores in one", param=found[1].place
        )
    return found[0] if found else None


def _required(functions: Mapping[str, Tool], search: FileSearch | None) -> Toolbox:
    """A search is a call too, and where nothing else may be called it can be made at once."""
    if not functions:
        return Toolbox(search=search, search_first=True)
    return Toolbox(tuple(functions.values()), "required", search=search)


def _functions(tools: Sequence[Tool], search: FileSearch | None) -> Mapping[str, Tool]:
    functions: dict[str, Tool] = {}
    for place, tool in enumerate(tools):
        if tool.get("type") == FILE_SEARCH:
            continue
        kind = tool.get("type")
        reader = READERS.get(kind) if isinstance(kind, str) else None
        if reader is None:
            raise UnsupportedParameter(
                f"tools[{place}]: tools of type {kind!r} do not run on this server; send tools of type function or "
                "file_search",
                param=f"tools[{place}]",
            )
        function = reader(tool, f"tools[{place}]")
        name = function["function"]["name"]
        if name in functions or (search is not None and name == FILE_SEARCH):
            raise InvalidRequest(
                f"tools[{place}] has the name {name!r}, which another tool has; names are unique",
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


def _allowed(choice: Mapping[str, Any], functions: Mapping[str, Tool], search: FileSearch | None) -> Toolbox:
    mode, listed = choice.get("mode", "auto"), choice.get("tools")
    if mode not in ("auto", "required") or not isinstance(listed, Sequence) or isinstance(listed, str) or not listed:
        raise InvalidRequest(
            "tool_choice of type allowed_tools needs a mode, auto or required, and tools", param="tool_choice"
        )
    hosted = [one for one in listed if isinstance(one, Mapping) and one.get("type") == FILE_SEARCH]
    if hosted and search is None:
        raise InvalidRequest("tool_choice must name tools of tools", param="tool_choice")
    names = dict.fromkeys(_named(one, functions) for one in listed if one not in hosted)
    allowed = {name: functions[name] for name in names}
    kept = search if hosted else None
    return _required(allowed, kept) if mode == "required" else Toolbox(tuple(allowed.values()), search=kept)


def _named(choice: Any, functions: Mapping[str, Tool]) -> str:
    name = choice.get("name") if isinstance(choice, Mapping) and choice.get("type") == "function" else None
    if not isinstance(name, str) or name not in functions:
        raise InvalidRequest("tool_choice must name functions of tools", param="tool_choice")
    return name

"""JSON as text: a line for each value, with the path that leads to it."""

import json
from collections.abc import Iterator
from typing import Any

from lmx_documents.readers.reading import Budget, unreadable

LONGEST_PATH = 200


def parsed(text: str, name: str, where: str = "") -> Any:
    """The value that a JSON text holds; raises InvalidRequest."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise unreadable(name, f"holds JSON that is nested too deeply{where}: simplify it") from error
    except ValueError as error:
        raise unreadable(name, f"is no JSON{where}: {error}") from error


def paragraph(value: Any, budget: Budget) -> str:
    """One value, and within it all that are not empty: `author.name: Ada`."""
    lines = []
    for path, leaf in _leaves(value):
        lines.append(f"{path}: {leaf}" if path else leaf)
        budget.take(len(lines[-1]) + 1)
    budget.take(1)
    return "\n".join(lines)


def _leaves(value: Any) -> Iterator[tuple[str, str]]:
    waiting = [("", value)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            prefix = f"{path}." if path else ""
            waiting.extend((f"{prefix}{key}"[:LONGEST_PATH], inner) for key, inner in reversed(value.items()))
        elif isinstance(value, list) and all(isinstance(inner, str | int | float) for inner in value):
            if value:
                yield path, ", ".join(_shown(inner) for inner in value)
        elif isinstance(value, list):
            last = len(value) - 1
            waiting.extend((f"{path}[{last - index}]", inner) for index, inner in enumerate(reversed(value)))
        elif value is not None and value != "":
            yield path, _shown(value)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

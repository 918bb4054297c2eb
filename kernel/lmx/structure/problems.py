"""What can be wrong with data, and where."""

from collections.abc import Callable, Iterable
from typing import Any

from attrs import frozen

ENOUGH = 100
"""Problems after which a list or mapping is not looked at further: the next ones cost time and help nobody."""


@frozen
class Problem:
    """One thing that is wrong, and where: keys and list indices from the root."""

    path: tuple[str | int, ...]
    message: str

    @property
    def where(self) -> str:
        """The path as people write it: `messages[3].role`."""
        text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return text.removeprefix(".")

    def inside(self, step: str | int) -> "Problem":
        """The same problem seen from one level further out."""
        return Problem((step, *self.path), self.message)


class StructureError(Exception):
    """The data does not fit the class; `problems` lists everything that is wrong."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{problem.where}: {problem.message}" for problem in self.problems))


class WrongKind(StructureError):
    """A string where a number should be, and the like: another member of a union may still fit."""

    def __init__(self, expected: str, value: Any) -> None:
        super().__init__([Problem((), f"must be {expected}, got {_kind(value)}")])
        self.expected = expected


def _kind(value: Any) -> str:
    kinds = {
        type(None): "null",
        bool: "a boolean",
        int: "an integer",
        float: "a number",
        str: "a string",
        list: "a list",
        tuple: "a list",
        dict: "a mapping",
    }
    return kinds.get(type(value), f"a value of type {type(value).__name__}")


def wrong(message: str) -> StructureError:
    """A single problem with the value itself."""
    return StructureError([Problem((), message)])


def each(items: Iterable[tuple[Any, Any]], hook: Callable[..., Any], *arguments: Any) -> list[Any]:
    """`hook(value, *arguments)` for each `(step, value)`; what goes wrong is collected, with its step."""
    done: list[Any] = []
    problems: list[Problem] = []
    for step, value in items:
        try:
            done.append(hook(value, *arguments))
        except StructureError as error:
            problems += [problem.inside(path_step(step)) for problem in error.problems]
            if len(problems) >= ENOUGH:
                break
    if problems:
        raise StructureError(problems)
    return done


def path_step(key: Any) -> str | int:
    """A key as part of a path; YAML has keys that are neither text nor whole numbers."""
    return key if type(key) in (str, int) else str(key)


def did_you_mean(word: Any, known: Iterable[str]) -> str:
    """`, did you mean 'port'?` where a known name is close, else nothing."""
    from difflib import get_close_matches

    close = get_close_matches(str(word), list(known), n=1)
    return f", did you mean '{close[0]}'?" if close else ""

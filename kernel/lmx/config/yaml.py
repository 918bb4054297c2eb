"""YAML 1.2 with the line of every value."""

from collections.abc import Callable
from typing import Any

from attrs import define, field

from lmx.config.merge import Value

STANDARD = "tag:yaml.org,2002:"
NOT_TEXT = frozenset(STANDARD + kind for kind in ("null", "bool", "int", "float"))
"""All other scalars are text; YAML 1.2 has no dates."""
MERGE = f"{STANDARD}merge"
FLOW = ("[", "{", '"', "'")


class BadYaml(Exception):
    """The text is not YAML that we take; `problems` holds `(line, message)`, lines counted from 1."""

    def __init__(self, *problems: tuple[int, str]) -> None:
        super().__init__(problems)
        self.problems = problems


def parse(text: str, origin: Callable[[int], str], *, version: tuple[int, int] = (1, 2)) -> Value:
    """The one document in `text`; `origin(line)` names a place. Raises BadYaml with every duplicate and odd key."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    yaml = YAML(typ="safe", pure=True)
    yaml.version = version
    try:
        builder = _Builder(yaml=yaml, origin=origin)
        value = builder.value(yaml.compose(text), ())
    except MarkedYAMLError as error:
        raise BadYaml(_explained(error)) from None
    except YAMLError as error:  # a control character
        raise BadYaml((1, str(error).splitlines()[0])) from None
    except RecursionError:
        raise BadYaml((1, "is nested too deeply")) from None
    if builder.problems:
        raise BadYaml(*builder.problems)
    return value


def parse_inline(text: str, origin: str) -> Value:
    """A value from the environment: flow collections and quoted text as YAML, all else one plain scalar, whole."""
    from ruamel.yaml import YAML
    from ruamel.yaml.nodes import ScalarNode

    if text.lstrip().startswith(FLOW):
        return parse(text, lambda _: origin)
    yaml = YAML(typ="safe", pure=True)
    tag = yaml.resolver.resolve(ScalarNode, text, (True, False))
    return Value(_scalar(yaml, ScalarNode(str(tag), text)), origin)


@define
class _Builder:
    """Turns composed nodes into values; collects what cannot be."""

    yaml: Any
    origin: Callable[[int], str]
    problems: list[tuple[int, str]] = field(factory=list)

    def value(self, node: Any, ancestors: tuple[Any, ...]) -> Value:
        """The value of a node, None for an empty document."""
        if node is None:
            return Value(None, self.origin(1))
        line = _line(node)
        if any(node is ancestor for ancestor in ancestors):
            self.problems.append((line, "an alias stands inside what it refers to"))
            return Value(None, self.origin(line))
        return Value(self._data(node, (*ancestors, node)), self.origin(line))

    def _data(self, node: Any, ancestors: tuple[Any, ...]) -> Any:
        if not str(node.tag).startswith(STANDARD):
            self.problems.append((_line(node), f"the tag {node.tag} has no meaning here"))
            return None
        if node.id == "mapping":
            return self._mapping(node, ancestors)
        if node.id == "sequence":
            return [self.value(item, ancestors) for item in node.value]
        try:
            return _scalar(self.yaml, node)
        except ValueError:
            self.problems.append((_line(node), f"cannot be read as {node.tag}: {node.value}"))
            return None

    def _mapping(self, node: Any, ancestors: tuple[Any, ...]) -> dict[str, Value]:
        items: dict[str, Value] = {}
        lines: dict[str, int] = {}
        for key, item in node.value:
            line = _line(key)
            if key.id != "scalar" or str(key.tag) in (*NOT_TEXT, MERGE):
                self.problems.append((line, _key_complaint(key)))
                continue
            if key.value in lines:
                self.problems.append((line, f"duplicate key '{key.value}', first on line {lines[key.value]}"))
            lines.setdefault(key.value, line)
            items[key.value] = Value(self.value(item, ancestors).data, self.origin(line))
        return items


def _scalar(yaml: Any, node: Any) -> Any:
    return yaml.constructor.construct_object(node) if str(node.tag) in NOT_TEXT else node.value


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _key_complaint(key: Any) -> str:
    if str(key.tag) == MERGE:
        return "YAML 1.2 has no merge key: write the keys out"
    return f'a key must be text: write "{key.value}" in quotes' if key.id == "scalar" else "a key must be text"


def _explained(error: Any) -> tuple[int, str]:
    mark = error.problem_mark or error.context_mark
    message = " ".join(filter(None, (error.context, error.problem)))
    if "'\\t'" in message:
        message = "a tab cannot stand here: indent with spaces"
    elif "single document" in message:
        message = "a second document begins here: keep one per file"
    return (mark.line + 1 if mark else 1, message)

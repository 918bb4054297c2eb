"""What tree-sitter says of source code, in characters."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, chain, pairwise

from attrs import frozen
from tree_sitter import Node
from tree_sitter_language_pack import get_parser

MOST_CHARS = 4_000_000
"""Longer files were generated, and a tree takes many times the memory of its text."""
DEFINITION = re.compile(
    r"class|function|method|constructor|struct|enum|interface|trait|impl|module|namespace|object|protocol|extension"
    r"|type_alias|type_spec|type_declaration|decorated|export|record|union|macro|subroutine|procedure|lexical_declaration"
)
NO_DEFINITION = re.compile(r"call|argument|parameter|import|expression|identifier|invocation|(?:body|list|block)$")
PREFIX = re.compile(r"comment|attribute|decorator|annotation")
TOWARDS_THE_NAME = ("declarator", "definition", "declaration", "type")
"""Fields that lead from a definition to the node that has its name."""
LONGEST_NAME = 80
BLOCK = 1024
CONTINUATION = bytes(range(0x80, 0xC0))
"""The bytes of UTF-8 that begin no character."""
Names = tuple[str, ...]


class NoSyntaxError(Exception):
    """The language is unknown, or the text is not written in it."""


@frozen(eq=False)
class Part:
    """Neighbouring nodes, from where the part before ends, and the definitions that they stand in."""

    start: int
    end: int
    outer: Names
    nodes: Sequence[Node]

    @property
    def names(self) -> Names:
        """With what the part itself defines."""
        own = next((name for node in self.nodes if (name := name_of(node))), "")
        return (*self.outer, own) if own and self.outer[-1:] != (own,) else self.outer


@frozen(eq=False)
class Syntax:
    """The syntax tree of a text."""

    text: str
    root: Part
    characters: Callable[[int], int]
    """From places in bytes to places in characters."""

    def parts(self, part: Part) -> list[Part]:
        """What a part consists of, without a gap: its nodes if it has several, else the children of the one."""
        if len(part.nodes) > 1:
            return self._tiled(part, part.outer, [[node] for node in part.nodes])
        return self._tiled(part, part.names, _together(part.nodes[0].children))

    def _tiled(self, whole: Part, outer: Names, groups: Sequence[Sequence[Node]]) -> list[Part]:
        if not groups:
            return []
        bounds = [whole.start, *(self._bound(a[-1], b[0]) for a, b in pairwise(groups)), whole.end]
        pairs = pairwise(bounds)
        parts = [Part(start, end, outer, nodes) for nodes, (start, end) in zip(groups, pairs, strict=True)]
        return [part for part in parts if part.start < part.end]

    def _bound(self, node: Node, following: Node) -> int:
        """Between two nodes: where the line of the second begins, or it itself on the line of the first."""
        start = self.characters(following.start_byte)
        newline = self.text.rfind("\n", self.characters(node.end_byte), start)
        return start if newline < 0 else newline + 1


def syntax_of(text: str, language: str) -> Syntax:
    """Parse the text; raises NoSyntaxError."""
    if len(text) > MOST_CHARS:
        raise NoSyntaxError(f"{len(text)} characters are too many to parse")
    try:
        parser = get_parser(language)  # type: ignore[arg-type]  # a language that it does not know raises LookupError
        code = text.encode()
    except (LookupError, UnicodeEncodeError) as error:
        raise NoSyntaxError(str(error)) from error
    root = parser.parse(code).root_node
    if root.type == "ERROR" or not root.children:
        raise NoSyntaxError(f"this is not written in {language}")
    return Syntax(text, Part(0, len(text), (), [root]), _characters(code))


def name_of(node: Node) -> str:
    """The name of what a node defines; empty if it defines nothing."""
    if not node.is_named or not DEFINITION.search(node.type) or NO_DEFINITION.search(node.type):
        return ""
    named = _named(node)
    raw = (named.text or b"")[: 4 * LONGEST_NAME] if named else b""
    return " ".join(raw.decode("utf-8", "replace").split())[:LONGEST_NAME]


def _named(node: Node) -> Node | None:
    found: Node | None = node
    while found and "identifier" not in found.type:
        if named := found.child_by_field_name("name"):
            return named
        fields = (found.child_by_field_name(field) for field in TOWARDS_THE_NAME)
        declared = (child for child in found.named_children if child.type.endswith(("declarator", "_spec")))
        found = next((child for child in chain(fields, declared) if child), None)
    return found


def _together(nodes: Sequence[Node]) -> list[list[Node]]:
    """Nodes in groups that begin on lines of their own; comments and the like go with what they stand before."""
    groups: list[list[Node]] = []
    for node in nodes:
        last = groups[-1][-1] if groups else None
        if last and (_on_one_line(last, node) or (PREFIX.search(last.type) and not _trails(groups[-1]))):
            groups[-1].append(node)
        else:
            groups.append([node])
    return groups


def _on_one_line(node: Node, following: Node) -> bool:
    return node.end_point.row == following.start_point.row and node.end_point.column > 0


def _trails(group: Sequence[Node]) -> bool:
    """Whether the last node is a comment behind something else on its line."""
    return len(group) > 1 and _on_one_line(group[-2], group[-1])


def _characters(code: bytes) -> Callable[[int], int]:
    if code.isascii():
        return int
    blocks = (code[start : start + BLOCK] for start in range(0, len(code), BLOCK))
    before = [0, *accumulate(_count(block) for block in blocks)]

    def characters(place: int) -> int:
        return before[place // BLOCK] + _count(code[place - place % BLOCK : place])

    return characters


def _count(code: bytes) -> int:
    return len(code.translate(None, CONTINUATION))


def units_of(syntax: Syntax, is_small: Callable[[int, int], bool]) -> Iterator[Part]:
    """What stands at the outermost level, and what of it is too large in the largest parts that are not, in order."""
    waiting = [*reversed(syntax.parts(syntax.root))]
    while waiting:
        part = waiting.pop()
        parts = [] if is_small(part.start, part.end) else syntax.parts(part)
        if parts:
            waiting.extend(reversed(parts))
        else:
            yield part

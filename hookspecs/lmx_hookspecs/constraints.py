"""Worker-side text plumbing: masks over token ids, and the formats of tool calls and reasoning."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from attrs import frozen

from lmx_hookspecs.generation import ToolCallDelta


class TokenMask(Protocol):
    """Follows one row and says which ids may come next."""

    def allowed(self) -> bytes:
        """A bit per token id, least significant bit first: 1 where the id may come next."""

    def accept(self, token: int) -> None:
        """Move on by one token."""

    @property
    def finished(self) -> bool:
        """Whether the text is complete as it stands."""


@frozen(kw_only=True)
class ConstraintSpec:
    """Compiles a grammar or schema into masks, in the worker.

    `compile(kind, source, tokenizer)` raises InvalidRequest for a source it cannot enforce.
    """

    name: str
    kinds: frozenset[str]
    """What it compiles: `json_object`, `json_schema`, `grammar`, `regex`, `choice`."""
    compile: Callable[[str, Any, Any], TokenMask]


@frozen(kw_only=True)
class Parsed:
    """What a stretch of raw text turned out to be."""

    text: str = ""
    reasoning: str = ""
    tool_calls: Sequence[ToolCallDelta] = ()


class DialectParser(Protocol):
    """Incremental: the same result for every split of the text into chunks, and no byte lost."""

    def feed(self, text: str) -> Parsed:
        """What is certain so far."""

    def finish(self) -> Parsed:
        """What was held back; a malformed call comes back as text."""


@frozen(kw_only=True)
class DialectSpec:
    """A format of tool calls and reasoning, found from the model's chat template."""

    name: str
    matches: Callable[[str], bool]
    """Whether this chat template, as source text, uses the dialect."""
    parser: Callable[[Sequence[Mapping[str, Any]]], DialectParser]
    """A fresh parser for the tools of one request."""

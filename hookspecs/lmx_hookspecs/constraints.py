"""Worker-side text plumbing: masks over token ids, and the formats of tool calls and reasoning."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from attrs import frozen

from lmx_hookspecs.generation import Message, ToolCallDelta

if TYPE_CHECKING:
    from lmx_hookspecs.engines import Tokenizer


class TokenMask(Protocol):
    """Follows one row and says which ids may come next. It never raises: where it cannot go on, the row ends."""

    def allowed(self) -> bytes | None:
        """A bit per token id, least significant bit first: 1 where the id may come next; ids beyond it may not.

        None where any may. At least one may always; the ids that end a generation, only where the text is complete.
        """

    def accept(self, token: int) -> None:
        """Move on by one token, as drawn; each that another one follows is told, in order.

        An engine that looks ahead may tell a token or two beyond the end of the row.
        """

    @property
    def failure(self) -> str | None:
        """Why it could not go on, in words for the client."""


FlawOf = Callable[[str], str | None]
"""What is wrong with a whole text, in words for the client; None where nothing is."""
ConstraintKind = Literal["json_object", "json_schema", "grammar", "regex", "choice"]


@frozen(kw_only=True)
class Constraint:
    """What the text of an answer must be."""

    kind: ConstraintKind
    source: Any = None
    """A JSON schema, the text of a grammar or of a regular expression, or a sequence of texts; None for json_object."""
    strict: bool = True
    """False: what cannot be enforced while the text is made is checked afterwards, with a warning."""
    param: str = "response_format"
    """The field of the request that it comes from, for errors."""
    otherwise: str | None = None
    """A grammar in Lark's notation, of what the text may be instead: calls of tools, where JSON is asked for."""


@frozen(kw_only=True)
class CompiledConstraint:
    """A constraint, ready for any number of rows."""

    mask: Callable[[int], TokenMask]
    """A fresh mask for one row that may have so many tokens."""
    warnings: Sequence[str] = ()
    flaw_of: FlawOf | None = None
    """For what no mask enforces."""


class ConstraintCompiler(Protocol):
    """Compiles constraints for the tokenizer of one model; called by one thread at a time."""

    def compile(self, constraint: Constraint) -> CompiledConstraint:
        """Raises InvalidRequest, with the constraint's `param`, for a source that it cannot enforce, within seconds."""


@frozen(kw_only=True)
class ConstraintSpec:
    """Masks for grammars and schemas, in the worker of any engine with Capability.MASKS."""

    name: str
    kinds: frozenset[ConstraintKind]
    open: "Callable[[Tokenizer], ConstraintCompiler]"
    """Called once a model, with its first request that has a constraint."""
    judge: Callable[[Constraint], FlawOf] | None = None
    """In the kernel, for answers of engines that draw without masks: json_object and json_schema.

    Raises InvalidRequest for a schema that is none.
    """


@frozen(kw_only=True)
class Parsed:
    """What a stretch of raw text turned out to be."""

    text: str = ""
    reasoning: str = ""
    tool_calls: Sequence[ToolCallDelta] = ()
    warnings: Sequence[str] = ()
    """What did not come out as the model seems to have meant it."""


class DialectParser(Protocol):
    """Incremental: the same result for every split of the text into chunks, and no byte lost.

    The markup of the dialect, with the white space beside it, belongs to neither text nor reasoning. A call that is
    malformed, or names none of the request's tools, comes back as text with a warning.
    """

    def feed(self, text: str) -> Parsed:
        """What is certain so far."""

    def finish(self) -> Parsed:
        """What was held back; called once, at the end."""


@frozen(kw_only=True)
class ParserRequest:
    """What a parser has to know of the request whose answer it reads."""

    tools: Sequence[Mapping[str, Any]] = ()
    """As the client sent them, in the form of the OpenAI API."""
    parallel: bool = True
    """False: all calls but the first are dropped, with a warning."""
    stream: bool = False
    """Whether the arguments of a call may go out before it is complete; where it then breaks off, a warning says so.
    False: a call is given whole, its arguments a JSON object, or not at all."""
    prompt_end: str = ""
    """The last characters of the prompt, from which it can be told whether the answer begins inside reasoning."""
    reasoning: Literal["auto", "open", "off"] = "auto"
    """`open`: the answer begins inside reasoning, whatever the prompt says; `off`: reasoning is left in the text."""


@frozen
class JsonValue:
    """A JSON value of that schema."""

    schema: Mapping[str, Any]


@frozen
class TextUntil:
    """Any text up to `end`, and `end`; of so many characters, where that is bounded."""

    end: str
    least: int = 0
    most: int | None = None


@frozen
class OneOf:
    """One of these texts."""

    texts: Sequence[str]


@frozen
class Perhaps:
    """All of these parts, or none of them."""

    parts: "Sequence[CallPart]"


CallPart = str | JsonValue | TextUntil | OneOf | Perhaps
"""Text as it is written, markup included, or what a model fills in."""


@frozen(kw_only=True)
class CallSyntax:
    """How calls are written that a model has to make."""

    call: Callable[[str, Mapping[str, Any]], Sequence[CallPart]]
    """One call of the function of that name, whose parameters have that JSON schema."""
    begin: str = ""
    between: str = ""
    end: str = ""
    several: bool = True
    """Whether more than one can be written."""


@frozen(kw_only=True)
class DialectSpec:
    """A format of tool calls and reasoning, found from the model's chat template.

    Of several that match, the highest `priority` is taken, then the first by name of plugin and place in its list.
    """

    name: str
    matches: Callable[[str], bool]
    """Whether this chat template, as source text, uses the dialect."""
    parser: Callable[[ParserRequest], DialectParser]
    """A fresh parser for one choice of one request."""
    tags: Sequence[str] = ()
    """Markup that never reaches the text."""
    tools: bool = True
    """Whether it has tool calls; False for formats of reasoning alone."""
    priority: int = 50
    calls: CallSyntax | None = None
    """None: a call cannot be forced."""
    thinking: Sequence[tuple[str, str]] = ()
    """What begins and ends reasoning, each pair that is in use."""
    history: Callable[[Sequence[Message]], Sequence[Message]] | None = None
    """The messages of a chat as the template wants them, such as with ids of its own kind for earlier calls."""

"""The state of one request between tokens and text: a row of the engine for each choice."""

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from lmx.workers.logprobs import HeldLogprobs
from lmx.workers.reader import Reader
from lmx.workers.verdict import Verdict
from lmx.workers.wire import WirePiece
from lmx_hookspecs.engines import Detokenizer, TokenPiece, TokenRequest
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.generation import Usage
from lmx_hookspecs.stops import StopScanner


@define(eq=False)
class Answer:
    """A request in the engine, and its token counts."""

    id: int
    prompt_tokens: int
    arrived_s: float
    rows: list["Row"] = field(factory=list)
    opening: list[WirePiece] = field(factory=list)
    """Pieces that come before any token: prompts to repeat."""
    warnings: list[str] = field(factory=list)
    """What the next piece is to tell of."""
    completion_tokens: int = field(default=0, init=False)
    cached_tokens: int = field(default=0, init=False)
    first_s: float | None = field(default=None, init=False)
    last_s: float = field(default=0.0, init=False)
    ended_rows: int = field(default=0, init=False)

    @property
    def complete(self) -> bool:
        """Whether every choice has ended."""
        return self.ended_rows == len(self.rows)

    def begun(self) -> WirePiece:
        """The piece that says what the engine has taken in."""
        return (self.id, 0, "", 0, {"prompt_tokens": self.prompt_tokens})

    def usage(self) -> Usage:
        """What the request took so far."""
        first_s = self.last_s if self.first_s is None else self.first_s
        return Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cached_tokens=self.cached_tokens,
            reasoning_tokens=self._reasoning_tokens(),
            prefill_s=first_s - self.arrived_s,
            decode_s=self.last_s - first_s,
        )

    def _reasoning_tokens(self) -> int | None:
        readers = [row.reader for row in self.rows if row.reader is not None]
        return sum(reader.reasoning_tokens for reader in readers) if readers else None


@define(eq=False)
class Row:
    """One choice: turns its tokens into pieces, and knows when it has ended."""

    answer: Answer
    index: int
    request: TokenRequest
    _detokenizer: Detokenizer
    _stops: StopScanner | None
    _logprobs: HeldLogprobs | None
    _first_of_prompt: bool
    """Whether its cached tokens count: usage counts each prompt once, however many choices it has."""
    reader: Reader | None
    """Tells reasoning and tool calls from the text; None where it is all text."""
    verdict: Verdict | None = None
    """Judges the text, where it was bound to something."""
    id: int = field(default=-1, init=False)
    """The engine's name for it, once it is in the engine."""
    ended: bool = field(default=False, init=False)
    _detokenize: Callable[[int], str] = field(init=False)
    _tokens: int = field(default=0, init=False)
    """Tokens that no piece has told of yet."""
    begun: bool = field(default=False, init=False)
    """Whether a piece of it has gone out."""
    _made_chars: int = field(default=0, init=False)
    _said_chars: int = field(default=0, init=False)
    """Of what it made, how much is text for the client."""
    _given_chars: int = field(default=0, init=False)
    """Of that text, how much pieces have told of: the rest may become a stop string."""

    def __attrs_post_init__(self) -> None:
        self._detokenize = self._detokenizer.add

    def take(self, piece: TokenPiece, now_s: float) -> WirePiece | None:
        """The piece that this token completes; None while all its text is held back."""
        self._count(piece, now_s)
        made = self._text(piece)
        self._made_chars += len(made)
        ending = piece.finish_reason is not None
        rare: dict[str, Any] = {}
        said = made if self.reader is None else self._read(self.reader, made, rare, ending=ending)
        text = self._before_stop(said, rare, ending=ending)
        self._said_chars += len(said)
        self._given_chars += len(text)
        self.ended = ending or self.cut
        if self.verdict is not None:
            self._judge(self.verdict, text)
        if not (text or rare or self.ended):
            return None
        self._add_rare(piece, rare)
        self.begun = True
        tokens, self._tokens = self._tokens, 0
        common = (self.answer.id, self.index, text, tokens)
        return (*common, rare) if rare else common

    @property
    def cut(self) -> bool:
        """Whether a stop string ended it: the engine does not know yet."""
        return self._stops is not None and self._stops.hit

    @property
    def failure(self) -> InvalidRequest | None:
        """Why it could not become what it was bound to be."""
        return None if self.verdict is None else self.verdict.failure

    def _count(self, piece: TokenPiece, now_s: float) -> None:
        answer = self.answer
        answer.last_s = now_s
        if answer.first_s is None:
            answer.first_s = now_s
        if piece.cached_tokens and self._first_of_prompt:
            answer.cached_tokens += piece.cached_tokens

    def _text(self, piece: TokenPiece) -> str:
        text = ""
        if piece.token is not None and piece.finish_reason != "stop":
            self.answer.completion_tokens += 1
            self._tokens += 1
            text = self._detokenize(piece.token)
            if self._logprobs:
                self._logprobs.add(piece, self._made_chars)
            if self.reader is not None:
                self.reader.token(self._made_chars)
        return text + self._detokenizer.finish() if piece.finish_reason else text

    def _before_stop(self, text: str, rare: Mapping[str, Any], *, ending: bool) -> str:
        """Text that is no stop string's; a thought or a call ends a stretch, and what was held back goes before it."""
        if self._stops is None:
            return text
        calls = any(delta.name for delta in rare.get("tool_calls", ()))
        before = self._stops.finish() if rare and not calls else ""
        certain = before + self._stops.feed(text)
        return certain + self._stops.finish() if (ending or calls) and not self._stops.hit else certain

    def _read(self, reader: Reader, made: str, rare: dict[str, Any], *, ending: bool) -> str:
        """The part of the raw text that is for the client; what else it holds goes into `rare`."""
        parsed = reader.read(made, ended=ending)
        if self._logprobs:
            self._logprobs.place(reader.content, reader.settled, self._said_chars, len(parsed.text))
        if parsed.reasoning:
            rare["reasoning"] = parsed.reasoning
        if parsed.tool_calls:
            rare["tool_calls"] = parsed.tool_calls
        self.answer.warnings += parsed.warnings
        return parsed.text

    def _judge(self, verdict: Verdict, text: str) -> None:
        verdict.add(text)
        if self.ended and not (self.reader is not None and self.reader.called):
            self.answer.warnings += verdict.flaws()

    def _add_rare(self, piece: TokenPiece, rare: dict[str, Any]) -> None:
        if self._logprobs:
            rare["logprobs"] = self._told_logprobs(self._logprobs)
        if self.answer.warnings:
            rare["warnings"], self.answer.warnings = self.answer.warnings, []
        if self.ended:
            rare["finish_reason"] = self._finish_reason(piece)
            if self._stops is not None and self._stops.found is not None:
                rare["stop"] = self._stops.found
            self.answer.ended_rows += 1
            if self.answer.complete:
                rare["usage"] = self.answer.usage()

    def _told_logprobs(self, held: HeldLogprobs) -> list[dict[str, Any]]:
        return held.take_all() if self.ended and not self.cut else held.take(self._given_chars)

    def _finish_reason(self, piece: TokenPiece) -> str | None:
        reason = "stop" if self.cut else piece.finish_reason
        return "tool_calls" if reason == "stop" and self.reader is not None and self.reader.called else reason

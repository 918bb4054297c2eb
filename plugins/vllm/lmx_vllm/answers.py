"""What vllm-mlx gives one request, turned into pieces: text before any stop string, tokens, reasons, usage."""

from attrs import define, field, frozen

from lmx_hookspecs import Piece, Usage
from lmx_hookspecs.errors import EngineFailed
from lmx_hookspecs.generation import FinishReason
from lmx_hookspecs.stops import StopScanner, StopStrings
from lmx_vllm.planning import Plan, RowPlan

REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length"}


@frozen(kw_only=True)
class Output:
    """What one or more steps of vllm-mlx gave a row."""

    text: str
    tokens: int
    """How many were drawn, an end of sequence among them."""
    cached_tokens: int = 0
    reason: str | None = None
    """Why the row ended, in vllm-mlx's words."""
    whole_text: str = ""
    """Of a row that has ended: its whole text, with what was held back as half a character."""


@define(eq=False)
class Answer:
    """A request in the engine, and its token counts."""

    plan: Plan
    arrived_s: float
    rows: list["Row"] = field(init=False)
    completion_tokens: int = field(default=0, init=False)
    cached_tokens: int = field(default=0, init=False)
    first_s: float | None = field(default=None, init=False)
    last_s: float = field(default=0.0, init=False)

    @classmethod
    def of(cls, plan: Plan, stops: StopStrings | None, arrived_s: float) -> "Answer":
        """All its rows, none of them begun."""
        answer = cls(plan, arrived_s)
        answer.rows = [Row(answer, row, StopScanner(stops) if stops else None) for row in plan.rows]
        return answer

    @property
    def complete(self) -> bool:
        """Whether every choice has ended."""
        return all(row.ended for row in self.rows)

    def usage(self) -> Usage:
        """What the request took."""
        first_s = self.last_s if self.first_s is None else self.first_s
        return Usage(
            prompt_tokens=self.plan.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cached_tokens=self.cached_tokens,
            prefill_s=first_s - self.arrived_s,
            decode_s=self.last_s - first_s,
        )


@define(eq=False)
class Row:
    """One choice: turns outputs into pieces, and knows when it has ended."""

    answer: Answer
    plan: RowPlan
    _stops: StopScanner | None
    ended: bool = field(default=False, init=False)
    _tokens: int = field(default=0, init=False)
    """Tokens that no piece has told of yet."""
    _made_chars: int = field(default=0, init=False)
    _drawn: int = field(default=0, init=False)

    @property
    def cut(self) -> bool:
        """Whether a stop string ended it: the engine does not know yet."""
        return self._stops is not None and self._stops.hit

    def take(self, output: Output, now_s: float) -> Piece | None:
        """The piece that this output completes; None while all its text is held back.

        Raises EngineFailed where vllm-mlx has given the row up.
        """
        if output.reason is not None and output.reason not in REASONS:
            raise EngineFailed(f"vllm-mlx gave up on its batch ({output.reason}); the log says why")
        self._count(output, now_s)
        made = self._text(output)
        text = self._before_stop(made, ending=output.reason is not None)
        self.ended = output.reason is not None or self.cut
        if not text and not self.ended:
            return None
        tokens, self._tokens = self._tokens, 0
        return Piece(
            index=self.plan.index,
            text=text,
            tokens=tokens,
            finish_reason=self._reason(output),
            stop=self._stops.found if self._stops is not None else None,
            usage=self.answer.usage() if self.ended and self.answer.complete else None,
        )

    def _count(self, output: Output, now_s: float) -> None:
        answer = self.answer
        if answer.first_s is None:
            answer.first_s = now_s
        answer.last_s = now_s
        if self._drawn == 0 and self.plan.first_of_prompt:
            answer.cached_tokens += output.cached_tokens
        drawn = output.tokens - (output.reason == "stop")  # the end of a sequence is no part of the text
        self._drawn += drawn
        self._tokens += drawn
        answer.completion_tokens += drawn

    def _text(self, output: Output) -> str:
        """New text; at the end also what vllm-mlx's detokenizer had held back. An empty answer is only its end."""
        self._made_chars += len(output.text)
        if output.reason is None or self._drawn == 0:
            return output.text
        return output.text + output.whole_text[self._made_chars :]

    def _before_stop(self, text: str, *, ending: bool) -> str:
        if self._stops is None:
            return text
        certain = self._stops.feed(text)
        return certain + self._stops.finish() if ending and not self._stops.hit else certain

    def _reason(self, output: Output) -> FinishReason | None:
        if self.cut:
            return "stop"
        return None if output.reason is None else REASONS[output.reason]

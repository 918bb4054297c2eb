"""One round of an answer: what of it the client sees, and which searches the model asked for."""

from collections.abc import Iterator

from attrs import define, evolve, field

from lmx_hookspecs import Piece, ToolCallDelta, Usage
from lmx_hookspecs.generation import FinishReason


@define(eq=False)
class HostedCall:
    """A call of a tool that the server runs."""

    id: str
    is_first: bool
    arguments: str = ""


@define(eq=False)
class Turn:
    """Takes the pieces of a round. Its end, and the calls of `name`, are not for the client."""

    name: str
    text: str = ""
    reasoning: str = ""
    reason: FinishReason | None = None
    usage: Usage | None = None
    has_others: bool = False
    """Whether the model has called functions of the client as well."""
    answered: int = 0
    """So many calls have an answer that the next round will see."""
    _calls: dict[int, HostedCall] = field(factory=dict)

    def take(self, piece: Piece) -> Iterator[Piece]:
        """What the client sees of it, if anything."""
        self.text += piece.text
        self.reasoning += piece.reasoning
        self.reason = piece.finish_reason or self.reason
        self.usage = piece.usage or self.usage
        others = [delta for delta in piece.tool_calls if not self._is_hosted(delta)]
        self.has_others = self.has_others or bool(others)
        shown = evolve(piece, tool_calls=others, finish_reason=None, usage=None)
        if shown.text or shown.reasoning or shown.logprobs or others:
            yield shown

    def searches(self) -> list[HostedCall]:
        """The calls, once they are complete: of a round that was cut off there are none."""
        return list(self._calls.values()) if self.reason in ("stop", "tool_calls") else []

    def _is_hosted(self, delta: ToolCallDelta) -> bool:
        if delta.name == self.name and delta.index not in self._calls:
            self._calls[delta.index] = HostedCall(delta.id or f"call_{delta.index}", is_first=not self._calls)
        call = self._calls.get(delta.index)
        if call is None:
            return False
        call.arguments += delta.arguments
        return True

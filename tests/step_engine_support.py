"""What the tests of all step engines share: a chat template, a log, and ways to run rows to their ends."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from lmx_hookspecs import TokenPiece, TokenRequest

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'tool' and not message.tool_call_id %}{{ raise_exception('a tool result needs an id') }}"
    "{% endif %}"
    "<|start|>{{ message.role }}\n{{ message.content }}"
    "{% for call in message.tool_calls or [] %}{% for key, value in call.function.arguments.items() %}"
    "[{{ key }}={{ value }}]{% endfor %}{% endfor %}<|end|>"
    "{% endfor %}"
    "{% if mood %}({{ mood }}){% endif %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


@define
class Log:
    """Keeps what is logged."""

    events: list[tuple[str, Mapping[str, Any]]] = field(factory=list)

    def debug(self, event: str, **facts: Any) -> None:
        self.events.append((event, facts))

    info = warning = error = debug


@frozen
class Result:
    """What one row gave."""

    tokens: list[int]
    finish_reason: str
    cached_tokens: int
    pieces: list[TokenPiece]


def run(engine: Any, requests: Iterable[TokenRequest]) -> list[Result]:
    """Run all requests together to their ends."""
    wanted = list(enumerate(requests))
    for row, request in wanted:
        engine.add(row, request)
    pieces = drain(engine)
    return [result_of([piece for piece in pieces if piece.id == row]) for row, _ in wanted]


def drain(engine: Any, *, steps: int = 20_000) -> list[TokenPiece]:
    """Step until no row is left."""
    pieces: list[TokenPiece] = []
    for _ in range(steps):
        details = engine.describe().details
        if not details["rows"] + details["queued"]:
            return pieces
        pieces.extend(engine.step())
    raise AssertionError(f"rows are still running after {steps} steps")


def result_of(pieces: Sequence[TokenPiece]) -> Result:
    """The pieces of one row as a whole."""
    last = pieces[-1]
    tokens = [piece.token for piece in pieces if piece.token is not None]
    return Result(tokens, str(last.finish_reason), pieces[0].cached_tokens, list(pieces))

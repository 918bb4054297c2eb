from collections.abc import Sequence
from typing import Any, Literal

import pytest
from attrs import define, field

from lmx_hookspecs import Capability, EngineDescription, TokenPiece, TokenRequest
from lmx_hookspecs.testing import check_step_engine


class ByteTokenizer:
    vocab_size = 256
    eos_token_ids = special_token_ids = frozenset({0})

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def render(self, messages: Any, tools: Any, arguments: Any, template: str | None = None) -> list[int]:
        raise NotImplementedError

    def decode(self, tokens: Sequence[int]) -> str:
        return bytes(tokens).decode(errors="replace")

    def token_bytes(self, token: int) -> bytes:
        return bytes([token])

    def detokenizer(self) -> "ByteDetokenizer":
        return ByteDetokenizer()


class ByteDetokenizer:
    def add(self, token: int) -> str:
        return chr(token)

    def finish(self) -> str:
        return ""


@define
class CountingEngine:
    """Answers each row with the ids 1, 2, 3 and so on, one per row and step."""

    fault: str = ""
    rows: dict[int, tuple[TokenRequest, int]] = field(factory=dict)
    tokenizer: ByteTokenizer = field(factory=ByteTokenizer)
    calls: int = 0

    def add(self, row: int, request: TokenRequest) -> None:
        self.rows[row] = (request, 0)

    def cancel(self, row: int) -> None:
        if self.fault != "deaf":
            self.rows.pop(row, None)

    def step(self) -> Sequence[TokenPiece]:
        self.calls += 1
        return [] if self.fault == "stuck" else [self._advance(row) for row in list(self.rows)]

    def describe(self) -> EngineDescription:
        return EngineDescription(
            context_length=0 if self.fault == "pointless" else 64,
            capabilities=frozenset({Capability.LOGPROBS}),
            memory_bytes=1,
            max_rows=2,
        )

    def close(self) -> None:
        self.rows.clear()

    def _advance(self, row: int) -> TokenPiece:
        request, made = self.rows[row]
        made += 1
        done = made == request.max_tokens + (self.fault == "greedy")
        self.rows[row] = (request, made)
        if done and self.fault != "endless":
            del self.rows[row]
        top = [(token, -1.0 - token) for token in range((request.logprobs or 0) + (self.fault == "chatty"))]
        return TokenPiece(
            id=row,
            token={"wild": 256, "moody": self.calls}.get(self.fault, made),
            logprob=0.5 if self.fault == "boastful" else -0.5,
            top=list(reversed(top)) if self.fault == "unsorted" else top,
            cached_tokens=99 if self.fault == "overcached" else 0,
            finish_reason=self._finish(made, done=done),
            error="out of ink" if self.fault == "broken" else None,
        )

    def _finish(self, made: int, *, done: bool) -> Literal["stop", "length", "error"] | None:
        if self.fault == "broken":
            return "error"
        if self.fault == "hasty" and made == 1:
            return "length"
        return "length" if done else None


@define
class TrimmableEngine(CountingEngine):
    """Can give back what it keeps for reuse."""

    trims: int = 0

    def trim(self) -> None:
        self.trims += 1


def test_a_sound_step_engine_passes() -> None:
    check_step_engine(CountingEngine())


def test_an_engine_that_can_be_trimmed_is() -> None:
    engine = TrimmableEngine()

    check_step_engine(engine)

    assert engine.trims == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("pointless", "the context is 0 tokens long"),
        ("stuck", "had not finished after"),
        ("greedy", "5 tokens with max_tokens=4"),
        ("hasty", "'length' after 1 tokens"),
        ("wild", "beyond the vocabulary"),
        ("moody", "greedy decoding gave"),
        ("boastful", "log-probability of a token is 0.5"),
        ("unsorted", "not in falling order"),
        ("chatty", "4 alternatives, 3 were asked for"),
        ("overcached", "more prompt tokens cached"),
        ("broken", "the row ended with error: out of ink"),
        ("deaf", "a cancelled row still gives pieces"),
        ("endless", "goes on after its finish reason"),
    ],
)
def test_an_unsound_step_engine_is_found_out(fault: str, reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_step_engine(CountingEngine(fault))

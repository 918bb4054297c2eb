"""The token-level echo: the host around it tokenises, stops and detokenises."""

import threading
import time
from collections.abc import Sequence

from attrs import Factory, define, field

from lmx_echo.byte_tokenizer import END, TURN, ByteTokenizer
from lmx_echo.config import EchoConfig, crash
from lmx_echo.vectors import DIMENSIONS, vector_of
from lmx_hookspecs import EngineDescription, TokenPiece, TokenRequest

MAX_STEP_S = 0.05


@define(eq=False)
class Row:
    """An answer on its way out: END closes it."""

    request: TokenRequest
    reply: Sequence[int]
    due_s: float
    given: int = 0


@define(eq=False)
class EchoStepEngine:
    """A StepEngine that repeats the tokens after the last TURN, as its configuration says."""

    config: EchoConfig
    capabilities: frozenset[str]
    tokenizer: ByteTokenizer = field(
        init=False,
        default=Factory(lambda self: ByteTokenizer(chat_template=self.config.chat_template), takes_self=True),
    )
    _rows: dict[int, Row] = field(factory=dict, init=False)

    def add(self, row: int, request: TokenRequest) -> None:
        """Queue a row."""
        reply = self.tokenizer.encode(self.config.reply) if self.config.reply is not None else last_turn(request.tokens)
        due_s = time.monotonic() + self.config.delay_ms / 1000
        self._rows[row] = Row(request, (*reply, END), due_s)

    def cancel(self, row: int) -> None:
        """Forget a row."""
        self._rows.pop(row, None)

    def step(self) -> Sequence[TokenPiece]:
        """A token for each row that is due, after waiting a little for the first to be."""
        now_s = time.monotonic()
        wait_s = min(row.due_s for row in self._rows.values()) - now_s
        if wait_s > 0:
            time.sleep(min(wait_s, MAX_STEP_S))
            now_s += wait_s if wait_s <= MAX_STEP_S else 0
        due = [(row_id, row) for row_id, row in self._rows.items() if row.due_s <= now_s]
        return [self._advance(row_id, row) for row_id, row in due]

    def embed(self, inputs: Sequence[Sequence[int]]) -> Sequence[Sequence[float]]:
        """Of the runs of bytes, after `delay_ms` for each batch."""
        if self.config.fail_after == 0:
            raise RuntimeError("the echo was told to fail")
        if self.config.crash_after == 0:
            crash()
        self._misbehave(0)
        time.sleep(self.config.delay_ms / 1000)
        return [vector_of([token.to_bytes(2, "big") for token in tokens]) for tokens in inputs]

    def describe(self) -> EngineDescription:
        """It holds rows, and nothing else."""
        return EngineDescription(
            context_length=self.config.context_length,
            capabilities=self.capabilities,
            memory_bytes=0,
            max_rows=256,
            details={"rows": len(self._rows), "dimensions": DIMENSIONS, "matryoshka": True},
        )

    def close(self) -> None:
        """It has nothing to give back."""

    def _advance(self, row_id: int, row: Row) -> TokenPiece:
        self._misbehave(row.given)
        piece = self._failure(row_id) if row.given == self.config.fail_after else _next_piece(row_id, row)
        row.given += 1
        row.due_s += self.config.interval_s
        if piece.finish_reason:
            del self._rows[row_id]
        return piece

    def _failure(self, row_id: int) -> TokenPiece:
        return TokenPiece(id=row_id, finish_reason="error", error="the echo was told to fail")

    def _misbehave(self, pieces: int) -> None:
        if self.config.crash_after == pieces:
            raise RuntimeError("the echo was told to crash")
        if self.config.hang_after == pieces:
            threading.Event().wait()


def last_turn(tokens: Sequence[int]) -> Sequence[int]:
    """What follows the last TURN: everything, for a prompt that is not a chat."""
    if TURN not in tokens:
        return tokens
    return tokens[len(tokens) - list(reversed(tokens)).index(TURN) :]


def _next_piece(row_id: int, row: Row) -> TokenPiece:
    token = row.reply[row.given]
    if token == END:
        return TokenPiece(id=row_id, token=END, finish_reason="stop")
    certain = row.request.logprobs is not None
    return TokenPiece(
        id=row_id,
        token=token,
        logprob=0.0 if certain else None,
        top=((token, 0.0),) if certain and row.request.logprobs else (),
        finish_reason="length" if row.given + 1 == row.request.max_tokens else None,
    )

"""The GGUF engine: rows that wait for room, and steps that compute the next token of all rows with parts of prompts."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import define, evolve, field

from lmx_gguf.batch import Batch
from lmx_gguf.llama_context import DecodeError, LlamaContext
from lmx_gguf.logprobs import log_softmax
from lmx_gguf.memory import Memory
from lmx_gguf.places import Places
from lmx_gguf.rows import Row, Work
from lmx_gguf.sampling import Draw, masked
from lmx_gguf.schedule import Pace, shares
from lmx_gguf.speculation import Speculation
from lmx_gguf.tokenizer import GgufTokenizer
from lmx_hookspecs import EngineDescription, Logger, TokenPiece, TokenRequest
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.limits import Limits
from lmx_hookspecs.logprobs import with_logprobs
from lmx_hookspecs.rows import next_to_admit

FAILED_STEPS = 3
"""So many failed steps in a row, and the worker is better started anew."""


@define(eq=False, kw_only=True)
class GgufEngine:
    """A StepEngine on llama.cpp: every call comes from the thread that made it."""

    tokenizer: GgufTokenizer
    context: LlamaContext
    places: Places
    limits: Limits
    pace: Pace
    max_rows: int
    speculation: Speculation
    memory: Memory
    log: Logger
    capabilities: frozenset[str]
    facts: Mapping[str, Any]
    """Of the model, for people."""
    release: Callable[[], None]
    """Gives back what the load has opened."""
    clock: Callable[[], float] = time.perf_counter
    _rows: dict[int, Row] = field(factory=dict, init=False)
    """In order of arrival: those with a sequence run, the others wait."""
    _batch: Batch = field(init=False)
    _preempted: int = field(default=0, init=False)
    _failed_steps: int = field(default=0, init=False)

    @_batch.default
    def _empty(self) -> Batch:
        return Batch(self.context.shape.batch_tokens)

    def add(self, row: int, request: TokenRequest) -> None:
        """Queue a row; raises InvalidRequest for what llama.cpp would fail on, and for a prompt that can never fit."""
        if row in self._rows:
            raise InvalidRequest(f"row {row} is already running; give each row its own number")
        self.limits.check(request)
        budget, prompt = self.places.budget, list(request.tokens)
        budget.check(len(prompt), request.max_tokens)
        self._rows[row] = Row(
            id=row,
            request=request,
            prompt=np.asarray(prompt, dtype=np.int32),
            tokens=prompt,
            max_tokens=min(request.max_tokens, budget.longest_row - len(prompt)),
            draw=Draw.of(request.sampling, prompt),
        )

    def cancel(self, row: int) -> None:
        """Forget a row; what it has computed stays in the prefix cache."""
        cancelled = self._rows.pop(row, None)
        if cancelled is not None:
            self._leave(cancelled)

    def step(self) -> Sequence[TokenPiece]:
        """Compute one token of each row that is decoded, and as much of the prompts as the time budget allows."""
        began = self.clock()
        self._admit()
        works = self._plan()
        if not works:
            return ()
        decoding = any(work.row.decoding for work in works)
        prompt_tokens = sum(len(work.tokens) for work in works if not work.row.decoding)
        try:
            pieces = self._compute(works)
        except DecodeError as error:
            return self._fail([work.row for work in works], error)
        self._failed_steps = 0
        self.pace.measured(self.clock() - began, prompt_tokens=prompt_tokens, decoding=decoding)
        return pieces

    def trim(self) -> None:
        """Give back what the C library keeps for reuse; the KV cache stays, to which idle users return."""
        self.log.debug("cache_trimmed", freed_bytes=self.memory.trim())

    def describe(self) -> EngineDescription:
        """What it is and holds now."""
        return EngineDescription(
            context_length=self.limits.context_length,
            capabilities=self.capabilities,
            memory_bytes=self.memory.used_bytes(),
            max_rows=self.max_rows,
            details=self._details(),
        )

    def close(self) -> None:
        """Drop every row, and give all of llama.cpp's memory back."""
        self._rows.clear()
        self.places.clear()
        self.release()

    def _waiting(self) -> list[Row]:
        return [row for row in self._rows.values() if row.sequence is None]

    def _leave(self, row: Row) -> None:
        if row.sequence is not None:
            self.speculation.forget(row.sequence)
        self.places.leave(row)

    def _admit(self) -> None:
        running = len(self.places.rows)
        while running < self.max_rows and running < len(self._rows):
            able = (row for row in self._waiting() if not self.places.waits_for_other(row))
            row = next_to_admit(able, self.places.fits)
            if row is None:
                return
            self.places.admit(row)
            running += 1

    def _grow(self, drafts: Mapping[int, Sequence[int]]) -> None:
        """Set room aside for the next tokens; where there is none, the youngest rows wait again, never the oldest."""
        for row in self.places.rows:
            self.places.grow(row, len(drafts.get(row.id, ())))
        self.places.make_room()
        for row in reversed(list(self._rows.values())):
            if self.places.excess <= 0:
                return
            if row.sequence is not None:
                self._leave(row)
                self._preempted += 1

    def _plan(self) -> list[Work]:
        drafts = self.speculation.drafts([row for row in self.places.rows if row.decoding])
        self._grow(drafts)
        rows = [row for row in self._rows.values() if row.sequence is not None]
        works = [self._decode_work(row, drafts.get(row.id, ())) for row in rows if row.decoding]
        prompts = [row for row in rows if not row.decoding]
        taken = sum(1 + len(work.drafts) for work in works)
        tokens = min(self.pace.chunk_tokens(decoding=bool(works)), self._batch.capacity - taken)
        parts = shares([row.remaining for row in prompts], tokens)
        return works + [_prompt_work(row, count) for row, count in zip(prompts, parts, strict=True) if count]

    def _decode_work(self, row: Row, drafts: Sequence[int]) -> Work:
        drafts = drafts[: max(0, min(row.limit - len(row.tokens), row.left - 1))]
        return Work(row, row.tokens[-1:], drafts, outputs=1 + len(drafts))

    def _compute(self, works: Sequence[Work]) -> list[TokenPiece]:
        batch = self._batch
        batch.clear()
        placed = []
        for work in works:
            row, tokens = work.row, [*work.tokens, *work.drafts]
            placed.append(evolve(work, first=batch.add(_sequence(row), tokens, row.computed, work.outputs)))
            self.places.sequences.cells.extend(_sequence(row), len(tokens))
            row.computed += len(work.tokens)
        self.context.decode(batch)
        if not batch.outputs:
            return []
        logits = self.context.logits(batch.outputs)
        likeliest = logits.argmax(axis=1).tolist()
        return [piece for work in placed if work.outputs for piece in self._draw(work, logits, likeliest)]

    def _draw(self, work: Work, logits: Any, likeliest: Sequence[int]) -> list[TokenPiece]:
        """A token for each draft that proves right, and one more."""
        pieces: list[TokenPiece] = []
        for place, draft in enumerate([*work.drafts, None]):
            index = work.first + place
            piece = self._draw_one(work.row, logits[index], likeliest[index])
            pieces.append(piece)
            if piece.finish_reason is not None or piece.token != draft:
                break
        self._settle(work, len(pieces))
        if pieces[-1].finish_reason is not None:
            self._finish(work.row)
        return pieces

    def _finish(self, row: Row) -> None:
        del self._rows[row.id]
        budget = self.places.budget
        if len(row.tokens) == budget.longest_row < len(row.prompt) + row.request.max_tokens:
            self.log.warning("row_ended_at_kv_budget", tokens=len(row.tokens), kv_budget_bytes=budget.total_bytes)
        self._leave(row)

    def _draw_one(self, row: Row, logits: Any, likeliest: int) -> TokenPiece:
        draw, mask = row.draw, row.request.mask
        if draw.plain and mask is None:
            adjusted, token = logits, likeliest
        else:
            adjusted = draw.adjusted(logits)
            allowed = None if mask is None else mask.allowed()
            token = draw.pick(adjusted if allowed is None else masked(adjusted, allowed))
        if mask is not None:
            mask.accept(token)
        row.tokens.append(token)
        reason = "length" if row.left <= 0 else None
        reason = "stop" if token in self.tokenizer.eos_token_ids else reason
        cached = row.cached if row.drawn == 1 else 0
        piece = TokenPiece(id=row.id, token=token, cached_tokens=cached, finish_reason=reason)  # type: ignore[arg-type]
        if row.request.logprobs is None:
            return piece
        return with_logprobs(piece, log_softmax(adjusted), row.request.logprobs)

    def _settle(self, work: Work, drawn: int) -> None:
        """Drafts that proved wrong leave the KV cache."""
        row, right = work.row, drawn - 1
        row.computed += right
        if right < len(work.drafts):
            self.places.sequences.cut(_sequence(row), row.computed)
        if work.drafts:
            self.speculation.count(drafted=len(work.drafts), accepted=right)

    def _fail(self, rows: Sequence[Row], error: Exception) -> list[TokenPiece]:
        """Nobody knows what the failed step left of its rows, so all of them end here."""
        self._failed_steps += 1
        if self._failed_steps >= FAILED_STEPS:
            raise error
        self.log.error("step_failed", rows=len(rows), error=str(error))
        for row in rows:
            del self._rows[row.id]
            self.speculation.forget(_sequence(row))
        self.places.discard(rows)
        reason = f"the engine could not advance this row: {error}"
        return [TokenPiece(id=row.id, finish_reason="error", error=reason) for row in rows]

    def _details(self) -> dict[str, Any]:
        places, waiting = self.places, self._waiting()
        return {
            **self.facts,
            "rows": len(self._rows) - len(waiting),
            "queued": len(waiting),
            "kv_budget_bytes": places.budget.total_bytes,
            "kv_cells": places.budget.cells,
            "kv_cells_used": places.sequences.cells.used,
            "kv_cells_set_aside": places.pending,
            "kv_preempted": self._preempted,
            "kv_longest_row": places.budget.longest_row,
            "prefill_tokens_per_s": round(self.pace.tokens_per_s, 1),
            "memory": self.memory.reading(),
            "trims": self.memory.trims(),
            "cache": places.describe(),
            "speculative": self.speculation.describe(),
        }


def _prompt_work(row: Row, count: int) -> Work:
    tokens = row.tokens[row.computed : row.computed + count]
    return Work(row, tokens, outputs=1 if count == row.remaining else 0)


def _sequence(row: Row) -> int:
    if row.sequence is None:
        raise DecodeError(f"row {row.id} has no sequence")
    return row.sequence

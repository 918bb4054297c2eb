"""The MLX engine: a queue of rows, lanes that take turns, and a prefix cache."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, evolve, field

from lmx_hookspecs import EngineDescription, Logger, TokenPiece, TokenRequest
from lmx_hookspecs.errors import InvalidRequest
from lmx_mlx import adapter
from lmx_mlx.checks import check_request
from lmx_mlx.lanes import Lane, Row
from lmx_mlx.logprobs import with_logprobs
from lmx_mlx.memory import Memory
from lmx_mlx.model import LoadedModel
from lmx_mlx.prefix_cache import PrefixCache
from lmx_mlx.sampling import processors_for, sampler_for
from lmx_mlx.schedule import PrefillPace
from lmx_mlx.tokenizer import MlxTokenizer

SHORTEST_KEPT = 64
"""Rows of fewer tokens are not worth an entry of the prefix cache."""
FAILED_STEPS = 3
"""So many failed steps in a row, and the worker is better started anew."""


@define(eq=False, kw_only=True)
class MlxEngine:
    """A StepEngine on mlx-lm: every call comes from the thread that made it."""

    model: LoadedModel
    max_rows: int
    new_batch: Callable[[], Any]
    """An empty `adapter.Batch`, or the `Solo` that stands in for one."""
    padding_ratio: float
    pace: PrefillPace
    prefix_cache: PrefixCache | None
    memory: Memory
    log: Logger
    clock: Callable[[], float] = time.perf_counter
    _queue: deque[Row] = field(factory=deque, init=False)
    _rows: dict[int, Row] = field(factory=dict, init=False)
    _lanes: list[Lane] = field(factory=list, init=False)
    _in_flight: Lane | None = field(default=None, init=False)
    _failed_steps: int = field(default=0, init=False)

    @property
    def tokenizer(self) -> MlxTokenizer:
        """The model's tokenizer."""
        return self.model.tokenizer

    def add(self, row: int, request: TokenRequest) -> None:
        """Queue a row; raises InvalidRequest for ids that MLX would abort on, and for a prompt beyond the context."""
        if row in self._rows:
            raise InvalidRequest(f"row {row} is already running; give each row its own number")
        check_request(request, self.model)
        prompt = list(request.tokens)
        new = Row(
            id=row,
            request=request,
            prompt=prompt,
            max_tokens=min(request.max_tokens, self.model.context_length - len(prompt)),
            sampler=sampler_for(request.sampling, self.model.vocab_size),
            processors=processors_for(request.sampling, len(prompt)),
            twin=self._twin_of(prompt),
        )
        self._rows[row] = new
        self._queue.append(new)

    def cancel(self, row: int) -> None:
        """Forget a row; what it has generated stays in the prefix cache."""
        cancelled = self._rows.pop(row, None)
        if cancelled is None:
            return
        if cancelled.lane is None:
            self._queue.remove(cancelled)
            return
        if cancelled.generated:
            self._keep_a_copy(cancelled.lane, cancelled, cancelled.length)
        self._leave(cancelled.lane, cancelled)

    def step(self) -> Sequence[TokenPiece]:
        """Let the lane whose turn it is decode one step and prefill one chunk."""
        self._admit()
        lane = min(self._lanes, key=lambda lane: lane.spent_s, default=None)
        if lane is None:
            return ()
        self._settle(lane)
        rows = list(lane.rows.values())
        try:
            pieces = self._advance(lane)
        except Exception as error:  # whatever the model or a processor raises ends this lane's rows, not the others
            return self._fail(lane, rows, error)
        self._failed_steps = 0
        return pieces

    def trim(self) -> None:
        """Give back what MLX and the C library keep for reuse; the prefix cache, to which idle users return, stays."""
        freed_bytes = self.memory.trim()
        self.log.debug("cache_trimmed", freed_bytes=freed_bytes)

    def describe(self) -> EngineDescription:
        """What it is and holds now."""
        return EngineDescription(
            context_length=self.model.context_length,
            capabilities=self.model.capabilities,
            memory_bytes=self.memory.used_bytes(),
            max_rows=self.max_rows,
            details=self._details(),
        )

    def close(self) -> None:
        """Drop every row and cache."""
        self._queue.clear()
        self._rows.clear()
        self._lanes.clear()
        if self.prefix_cache is not None:
            self.prefix_cache.clear()
        self.memory.restore()

    def _twin_of(self, prompt: list[int]) -> Row | None:
        """A row whose prefill of the same prompt this one can wait for, as the choices of one request do."""
        if self.prefix_cache is None or len(prompt) <= SHORTEST_KEPT:
            return None
        candidates = (row for row in self._rows.values() if not row.prefilled and row.prompt == prompt)
        return next(candidates, None)

    def _admit(self) -> None:
        for row in [row for row in self._queue if not self._waits_for_twin(row)]:
            if len(self._rows) - len(self._queue) >= self.max_rows:
                return
            self._queue.remove(row)
            self._place(row)

    def _waits_for_twin(self, row: Row) -> bool:
        twin = row.twin
        return twin is not None and not twin.prefilled and self._rows.get(twin.id) is twin

    def _place(self, row: Row) -> None:
        layers = None
        if self.prefix_cache is not None:
            layers, row.cached = self.prefix_cache.find(row.prompt)
        row.prefilled = row.cached == len(row.prompt) - 1
        is_long = len(row.prompt) - row.cached > self.pace.chunk_tokens(self._slowest_step_s())
        lane = None if is_long else self._cheapest_lane(row.length)
        if lane is None:
            lane = self._open_lane(closed=is_long)
        lane.insert(row, layers, row.cached)

    def _open_lane(self, *, closed: bool) -> Lane:
        lane = Lane(
            batch=self.new_batch(),
            pace=evolve(self.pace),
            spent_s=min((lane.spent_s for lane in self._lanes), default=0.0),
            closed=closed,
        )
        self._lanes.append(lane)
        return lane

    def _cheapest_lane(self, length: int, *, other_than: Lane | None = None) -> Lane | None:
        open_lanes = (lane for lane in self._lanes if not lane.closed and lane is not other_than)
        lane = min(open_lanes, key=lambda lane: lane.padding(length), default=None)
        if lane is None or lane.padding(length) > self._padding_limit():
            return None
        return lane

    def _padding_limit(self) -> float:
        return self.padding_ratio * self.model.weight_bytes / max(1.0, self.model.cache_bytes_per_token)

    def _slowest_step_s(self) -> float | None:
        return max((lane.step.value for lane in self._lanes if lane.batch.decoding), default=None)

    def _settle(self, lane: Lane) -> None:
        """Wait for what another lane has in flight, at its expense, so that times mean what they say."""
        if self._in_flight is not None and self._in_flight is not lane:
            began = self.clock()
            adapter.synchronize()
            self._charge(self._in_flight, self.clock() - began)
        self._in_flight = lane

    def _advance(self, lane: Lane) -> list[TokenPiece]:
        lane.begin_step()
        decoding = lane.batch.decoding
        began = self.clock()
        progress = lane.batch.next(lane.pace.chunk_tokens(self._slowest_step_s()))
        self._charge(lane, self.clock() - began)
        lane.end_step(progress, decoding)
        self.pace.tokens_per_s = lane.pace.tokens_per_s
        pieces = [self._piece(lane, response) for response in progress.drawn]
        for key in progress.prefilled:
            self._prefilled(lane, lane.rows[key])
        if lane.closed and progress.prefilled:
            self._open_to_others(lane)
        return pieces

    def _prefilled(self, lane: Lane, row: Row) -> None:
        row.prefilled = True
        if any(waiting.twin is row for waiting in self._queue):
            self._keep_a_copy(lane, row, len(row.prompt) - 1)

    def _charge(self, lane: Lane, elapsed_s: float) -> None:
        heaviest = max((other.weight for other in self._lanes), default=0.0)
        lane.charge(elapsed_s, lane.weight or heaviest or 1.0)

    def _piece(self, lane: Lane, response: Any) -> TokenPiece:
        row = lane.rows[response.uid]
        row.generated += 1
        row.prefilled = True
        piece = TokenPiece(
            id=row.id,
            token=response.token,
            cached_tokens=row.cached if row.generated == 1 else 0,
            finish_reason=response.finish_reason,
        )
        if row.request.logprobs is not None:
            piece = with_logprobs(piece, response.logprobs, row.request.logprobs)
        if response.finish_reason is not None:
            self._finish(lane, row, response)
        return piece

    def _finish(self, lane: Lane, row: Row, response: Any) -> None:
        if self.prefix_cache is not None and row.length >= SHORTEST_KEPT:
            self.prefix_cache.put(response.all_tokens, response.prompt_cache)
        del self._rows[row.id]
        self._leave(lane, row, removed=True)

    def _leave(self, lane: Lane, row: Row, *, removed: bool = False) -> None:
        if not removed:
            lane.batch.remove(row.key)
        lane.release(row)
        if not lane.rows:
            self._close_lane(lane)

    def _close_lane(self, lane: Lane) -> None:
        self._lanes.remove(lane)
        if self._in_flight is lane:
            self._in_flight = None

    def _keep_a_copy(self, lane: Lane, row: Row, length: int) -> None:
        if self.prefix_cache is not None and length >= SHORTEST_KEPT:
            layers, tokens = lane.batch.layers_of(row.key)
            self.prefix_cache.put(tokens, layers)

    def _open_to_others(self, lane: Lane) -> None:
        """A long prompt is through: it joins rows of like length, or others may join it."""
        lane.closed = False
        (row,) = lane.rows.values()
        target = self._cheapest_lane(row.length, other_than=lane)
        if target is None:
            return
        layers, tokens = lane.batch.layers_of(row.key)
        self._leave(lane, row)
        target.insert(row, layers, len(tokens))

    def _fail(self, lane: Lane, rows: Sequence[Row], error: Exception) -> list[TokenPiece]:
        """Whatever the failed step gave is lost, so every row that was in it ends here."""
        self._failed_steps += 1
        if self._failed_steps >= FAILED_STEPS:
            raise error
        self.log.error("step_failed", rows=len(rows), error=repr(error))
        for row in rows:
            self._rows.pop(row.id, None)
            if row.lane not in (None, lane):
                self._leave(row.lane, row)
        if lane in self._lanes:
            self._close_lane(lane)
        reason = f"the engine could not advance this row: {error}"
        return [TokenPiece(id=row.id, finish_reason="error", error=reason) for row in rows]

    def _details(self) -> dict[str, Any]:
        cache = self.prefix_cache
        return {
            **self.model.details,
            "rows": len(self._rows) - len(self._queue),
            "queued": len(self._queue),
            "lanes": [{"rows": len(lane.rows), "decoding": lane.batch.decoding} for lane in self._lanes],
            "prefill_tokens_per_s": round(self.pace.tokens_per_s, 1),
            "memory": self.memory.reading(),
            "trims": self.memory.trims(),
            "prefix_cache": None if cache is None else cache.describe(),
        }

"""The MLX engine: rows that wait for room, lanes that take turns, and a prefix cache."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field

from lmx_hookspecs import EngineDescription, Logger, TokenPiece, TokenRequest
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.logprobs import with_logprobs
from lmx_hookspecs.rows import next_to_admit
from lmx_mlx.blas import BlasThreads
from lmx_mlx.disk_cache import wait_a_little
from lmx_mlx.kv_budget import KvBudget
from lmx_mlx.lanes import Lane, Row
from lmx_mlx.logprobs import as_numpy
from lmx_mlx.memory import Memory
from lmx_mlx.model import LoadedModel
from lmx_mlx.placing import Lanes
from lmx_mlx.prefix_cache import SHORTEST_KEPT, PrefixCache
from lmx_mlx.sampling import processors_for, sampler_for
from lmx_mlx.saving import DiskTier
from lmx_mlx.schedule import PrefillPace
from lmx_mlx.speculating import Speculation
from lmx_mlx.tokenizer import MlxTokenizer

IDLE_FLUSH_S = 2.0
"""So long may a request wait that comes while an idle engine saves its caches."""
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
    kv_budget: KvBudget
    prefix_cache: PrefixCache | None
    memory: Memory
    blas: BlasThreads
    log: Logger
    speculation: Speculation | None = None
    disk: DiskTier | None = None
    clock: Callable[[], float] = time.perf_counter
    _rows: dict[int, Row] = field(factory=dict, init=False)
    """In order of arrival: those with a lane run, the others wait."""
    _lanes: Lanes = field(init=False)
    _preempted: int = field(default=0, init=False)
    _failed_steps: int = field(default=0, init=False)

    @_lanes.default
    def _no_lanes(self) -> Lanes:
        return Lanes(
            new_batch=self.new_batch,
            pace=self.pace,
            padding_limit=self.padding_ratio * self.model.weight_bytes / max(1.0, self.model.cache_bytes_per_token),
            capacity=self.kv_budget.capacity,
            blas=self.blas,
            clock=self.clock,
        )

    @property
    def tokenizer(self) -> MlxTokenizer:
        """The model's tokenizer."""
        return self.model.tokenizer

    def add(self, row: int, request: TokenRequest) -> None:
        """Queue a row; raises InvalidRequest for ids that MLX would abort on, and for a prompt that can never fit."""
        if row in self._rows:
            raise InvalidRequest(f"row {row} is already running; give each row its own number")
        self.model.limits.check(request)
        prompt = list(request.tokens)
        self.kv_budget.check(len(prompt), request.max_tokens)
        max_tokens = min(request.max_tokens, self.kv_budget.longest_row - len(prompt))
        twin = self._twin_of(prompt)
        self._rows[row] = Row(
            id=row,
            request=request,
            prompt=prompt,
            max_tokens=max_tokens,
            sampler=sampler_for(request.sampling, self.model.vocab_size),
            processors=processors_for(request),
            positions=self.kv_budget.to_admit(len(prompt), len(prompt) + max_tokens),
            twin=twin,
            fetch=None if self.disk is None or twin is not None else self.disk.fetch(prompt),
        )

    def cancel(self, row: int) -> None:
        """Forget a row; what it has generated stays in the prefix cache."""
        cancelled = self._rows.pop(row, None)
        if cancelled is not None and cancelled.lane is not None:
            self._take_out(cancelled, cancelled.lane)

    def step(self) -> Sequence[TokenPiece]:
        """Let the lane whose turn it is decode one step or prefill one chunk."""
        self._grow()
        self._admit()
        if self.disk is not None:
            self.disk.work()
        lane = self._lanes.turn()
        if lane is None:
            wait_a_little(row.fetch for row in self._rows.values())
            return ()
        self._lanes.settle(lane)
        rows = list(lane.rows.values())
        try:
            pieces = self._advance(lane)
        except Exception as error:  # whatever the model or a processor raises ends this lane's rows, not the others
            return self._fail(lane, rows, error)
        self._failed_steps = 0
        return pieces

    def trim(self) -> None:
        """Give back what MLX and the C library keep for reuse; the prefix cache, to which idle users return, stays."""
        if self.disk is not None:
            self.disk.flush(IDLE_FLUSH_S)
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
        self._rows.clear()
        self._lanes.clear()
        if self.disk is not None:
            self.disk.close()
        if self.prefix_cache is not None:
            self.prefix_cache.clear()
        self.memory.restore()

    def _twin_of(self, prompt: list[int]) -> Row | None:
        """A row whose prefill of the same prompt this one can wait for, as the choices of one request do."""
        if self.prefix_cache is None or len(prompt) <= SHORTEST_KEPT:
            return None
        candidates = (row for row in self._rows.values() if not row.prefilled and row.prompt == prompt)
        return next(candidates, None)

    def _must_wait(self, row: Row) -> bool:
        """For the prefill of its twin, or for the disk."""
        if row.fetch is not None and row.fetch.pending:
            return True
        twin = row.twin
        return twin is not None and not twin.prefilled and self._rows.get(twin.id) is twin

    def _waiting(self) -> list[Row]:
        return [row for row in self._rows.values() if row.lane is None]

    def _grow(self) -> None:
        """Set room aside for the next tokens; where there is none, the youngest rows wait again.

        The oldest never does, so that it comes to its end, and the others after it.
        """
        for row in self._lanes.rows:
            if row.length >= row.positions:
                row.positions = self.kv_budget.positions(row.length + 1)
        for row in reversed(self._rows.values()):
            if self._lanes.free_positions >= 0:
                return
            if row.lane is not None:
                self._preempt(row, row.lane)

    def _preempt(self, row: Row, lane: Lane) -> None:
        """Take a row out and let it wait; once it is admitted again, what it has drawn counts as prompt."""
        self._take_out(row, lane)
        row.positions = self.kv_budget.to_admit(row.length, row.longest)
        row.sampler = sampler_for(row.request.sampling, self.model.vocab_size, drawn=len(row.drawn))
        self._preempted += 1

    def _take_out(self, row: Row, lane: Lane) -> None:
        layers, tokens = lane.batch.layers_of(row.key) if row.drawn else ([], [])
        self._lanes.leave(row)
        self._keep(tokens, layers)

    def _admit(self) -> None:
        while len(self._lanes.rows) < self.max_rows:
            row = self._next_row()
            if row is None:
                break
            self._place(row)
        self._leave_room()

    def _next_row(self) -> Row | None:
        waiting = [row for row in self._waiting() if not self._must_wait(row)]
        free_positions = self._lanes.free_positions
        return next_to_admit(waiting, lambda row: row.positions <= free_positions)

    def _place(self, row: Row) -> None:
        layers = None
        if self.disk is not None and row.fetch is not None:
            self.disk.take(row.fetch)
            row.fetch = None
        if self.prefix_cache is not None:
            layers, row.cached = self.prefix_cache.find(row.tokens)
        row.prefilled = row.prefilled or row.cached == row.length - 1
        self._lanes.enter(row, layers)

    def _advance(self, lane: Lane) -> list[TokenPiece]:
        progress = self._lanes.advance(lane)
        pieces = [self._piece(lane, response) for response in progress.drawn]
        for key in progress.prefilled:
            self._prefilled(lane, lane.rows[key])
        if lane.closed and progress.prefilled:
            self._lanes.open_to_others(lane)
            self._leave_room()
        return pieces

    def _prefilled(self, lane: Lane, row: Row) -> None:
        row.prefilled = True
        if any(waiting.twin is row for waiting in self._waiting()):
            layers, tokens = lane.batch.layers_of(row.key)
            self._keep(tokens, layers)

    def _piece(self, lane: Lane, response: Any) -> TokenPiece:
        row = lane.rows[response.uid]
        row.drawn.append(response.token)
        row.prefilled = True
        piece = TokenPiece(
            id=row.id,
            token=response.token,
            cached_tokens=row.cached if len(row.drawn) == 1 else 0,
            finish_reason=response.finish_reason,
        )
        if row.request.logprobs is not None:
            piece = with_logprobs(piece, as_numpy(response.logprobs), row.request.logprobs)
        if response.finish_reason is not None:
            self._finish(row, response)
        return piece

    def _finish(self, row: Row, response: Any) -> None:
        del self._rows[row.id]
        self._lanes.leave(row, removed=True)
        self._keep(response.all_tokens, response.prompt_cache)
        wanted = min(len(row.prompt) + row.request.max_tokens, self.model.context_length)
        if row.length == self.kv_budget.longest_row < wanted:
            self.log.warning("row_ended_at_kv_budget", tokens=row.length, kv_budget_bytes=self.kv_budget.total_bytes)

    def _keep(self, tokens: Sequence[int], layers: Any) -> None:
        """Put a cache away for later prompts, if rows leave it the room."""
        if self.prefix_cache is not None:
            self._leave_room()
            self.prefix_cache.keep(tokens, layers)

    def _leave_room(self) -> None:
        """The prefix cache has what rows leave of the budget."""
        if self.prefix_cache is not None:
            self.prefix_cache.keep_within(self.kv_budget.left_bytes(self._lanes.positions))

    def _fail(self, lane: Lane, rows: Sequence[Row], error: Exception) -> list[TokenPiece]:
        """Whatever the failed step gave is lost, so every row that was in it ends here."""
        self._failed_steps += 1
        if self._failed_steps >= FAILED_STEPS:
            raise error
        self.log.error("step_failed", rows=len(rows), error=repr(error))
        for row in rows:
            self._rows.pop(row.id, None)
            if row.lane is not lane:
                self._lanes.leave(row)
        if lane in self._lanes:
            self._lanes.close(lane)
        reason = f"the engine could not advance this row: {error}"
        return [TokenPiece(id=row.id, finish_reason="error", error=reason) for row in rows]

    def _details(self) -> dict[str, Any]:
        waiting, cache = self._waiting(), self.prefix_cache
        running, free = len(self._rows) - len(waiting), self._lanes.free_positions
        return {
            **self.model.details,
            "rows": running,
            "queued": len(waiting),
            "kv_budget_bytes": self.kv_budget.total_bytes,
            "kv_reserved_bytes": self.kv_budget.size_bytes(self._lanes.positions),
            "kv_waiting": sum(row.positions > free for row in waiting) if running < self.max_rows else 0,
            "kv_preempted": self._preempted,
            "kv_longest_row": self.kv_budget.longest_row,
            "lanes": [{"rows": len(lane.rows), "decoding": lane.batch.decoding} for lane in self._lanes],
            "prefill_tokens_per_s": round(self.pace.tokens_per_s, 1),
            "memory": self.memory.reading(),
            "trims": self.memory.trims(),
            "speculative": None if self.speculation is None else self.speculation.describe(),
            "cache": None if cache is None else {**cache.describe(), "disk": self.disk and self.disk.disk.describe()},
        }

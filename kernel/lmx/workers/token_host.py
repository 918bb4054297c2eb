"""Runs a token-level engine in a worker: one thread prepares requests, the main thread makes every call of the engine.

Between two steps the main thread does what the other threads have asked for, and embeds a batch where there is one;
while there is nothing to run it waits.
"""

import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any

from attrs import define, field

from lmx.workers import constraints, wire
from lmx.workers.activity import Activity
from lmx.workers.constraints import Constraints
from lmx.workers.dialect import Dialect
from lmx.workers.embedding_desk import EmbeddingDesk, Work
from lmx.workers.frames import FrameSocket
from lmx.workers.handle import unable
from lmx.workers.inputs import Inputs, check_dimensions
from lmx.workers.outbox import Outbox
from lmx.workers.preparation import Preparation
from lmx.workers.rows import Answer, Row
from lmx.workers.sending import send_step
from lmx.workers.threads import start_thread
from lmx.workers.trimming import TrimTimer
from lmx.workers.vectors import Placed
from lmx_hookspecs.capabilities import Capability
from lmx_hookspecs.constraints import ConstraintSpec
from lmx_hookspecs.embedding import EmbeddingStepEngine
from lmx_hookspecs.engines import EngineDescription, StepEngine, Tokenizer, TokenPiece, TrimmableEngine
from lmx_hookspecs.errors import EngineFailed, LmxError, PluginError

STEP = "step"
PREPARE = "prepare"
EMBED = "embed"
TRIM = "trim"

Order = Callable[[], None]
"""What the main thread is to do."""
Arrival = tuple[int, Callable[[], Order | None]]
"""Id, and how to prepare the request: what comes of it is an order, or None where there is more to prepare."""


@define(eq=False)
class TokenHost:
    """Everything between text and tokens, for any StepEngine."""

    _load_engine: Callable[[], StepEngine]
    _link: FrameSocket
    _activity: Activity
    _outbox: Outbox
    _trim_timer: TrimTimer = field(factory=TrimTimer)
    _dialect_of: Callable[[Tokenizer], Dialect] = lambda _: Dialect()
    _constraint_specs: Sequence[ConstraintSpec] = ()
    _arrivals: SimpleQueue[Arrival] = field(factory=SimpleQueue, init=False)
    _orders: SimpleQueue[Order] = field(factory=SimpleQueue, init=False)
    _answers: dict[int, Answer] = field(factory=dict, init=False)
    _rows: dict[int, Row] = field(factory=dict, init=False)
    _row_ids: Iterator[int] = field(factory=count, init=False)
    _desk: EmbeddingDesk = field(factory=EmbeddingDesk, init=False)
    _stopping: bool = field(default=False, init=False)
    _engine: StepEngine = field(init=False)
    _description: EngineDescription = field(init=False)
    _preparation: Preparation = field(init=False)
    _dialect: Dialect = field(init=False)
    _constraints: Constraints = field(init=False)

    def load(self) -> EngineDescription:
        """Load the engine, and begin to prepare requests for it."""
        self._engine = self._load_engine()
        tokenizer = self._engine.tokenizer
        self._dialect = self._dialect_of(tokenizer)
        masks = Capability.MASKS in self._engine.describe().capabilities
        self._constraints = Constraints(self._constraint_specs, tokenizer, self._dialect, masks=masks)
        self._description = self._describe()
        self._preparation = Preparation(tokenizer, self._description.context_length, self._dialect, self._constraints)
        start_thread(PREPARE, self._prepare_all)
        self._trim_timer.worked()
        return self._description

    def run(self) -> None:
        """Step until `stop`, then close the engine."""
        while not self._stopping:
            self._follow_orders()
            if self._rows:
                self._step()
            if self._desk.busy:
                self._embed()
        self._engine.close()

    def receive(self, frame: Any) -> None:
        """A frame from the kernel."""
        match frame:
            case ["generate", request_id, request]:
                self._arrive(request_id, partial(self._prepare, request_id, request, self._link.received_s))
            case ["count", request_id, request]:
                self._arrive(request_id, partial(self._count, request_id, request))
            case ["embed", request_id, request]:
                self._arrive(request_id, partial(self._prepare_inputs, self._inputs(request_id, request)))
            case ["rerank", request_id, request]:
                self._orders.put(partial(self._fail, request_id, unable(request["model"], "rerank")))
            case ["cancel", request_id]:
                self._activity.live.discard(request_id)  # at once, for the thread that prepares
                self._orders.put(partial(self._drop, request_id))
            case ["call", call_id, method, arguments]:
                self._orders.put(partial(self._call, call_id, method, arguments))

    def stop(self) -> None:
        """Let `run` return after the step in progress."""
        self._orders.put(self._stop)

    def _arrive(self, request_id: int, prepare: Callable[[], Order | None]) -> None:
        self._activity.live.add(request_id)
        self._arrivals.put((request_id, prepare))

    def _stop(self) -> None:
        self._stopping = True

    def _follow_orders(self) -> None:
        while not self._stopping and not ((self._rows or self._desk.busy) and self._orders.empty()):
            try:
                order = self._orders.get(timeout=self._trim_timer.wait_s())
            except Empty:
                self._trim()
            else:
                order()

    def _trim(self) -> None:
        self._trim_timer.trimmed()
        if isinstance(self._engine, TrimmableEngine):
            self._activity.begin(TRIM)
            self._engine.trim()
            self._activity.end(TRIM)

    def _step(self) -> None:
        self._activity.begin(STEP)
        pieces = self._engine.step()
        self._activity.end(STEP)
        self._trim_timer.worked()
        now_s = time.monotonic()
        self._take(pieces, now_s)
        self._send(self._outbox.due(now_s))

    def _take(self, pieces: Iterable[TokenPiece], now_s: float) -> None:
        """What the step adds to the answers; an answer that ends here is forgotten."""
        for piece in pieces:
            row = self._rows.get(piece.id)
            if row is None:
                continue  # cancelled, in an engine that looks ahead
            if piece.finish_reason == "error":
                self._give_up(row, EngineFailed(piece.error or "the engine gave up"))
                continue
            begins = not row.begun
            try:
                wired = row.take(piece, now_s)
            except Exception as error:  # the boundary around one row: its dialect and its judge are plugins' code
                traceback.print_exc()
                self._give_up(row, EngineFailed(f"the answer could not be read: {type(error).__name__}: {error}"))
                continue
            if row.failure is not None:
                self._give_up(row, row.failure)
                continue
            if wired is not None:
                self._outbox.put(wired, urgent=begins or row.ended)
            if row.ended:
                self._retire(row)

    def _retire(self, row: Row) -> None:
        del self._rows[row.id]
        if row.cut:
            self._engine.cancel(row.id)
        if row.answer.complete:
            del self._answers[row.answer.id]
            self._activity.live.discard(row.answer.id)

    def _prepare_all(self) -> None:
        while True:
            request_id, prepare = self._arrivals.get()
            if request_id in self._activity.live:
                self._activity.begin(PREPARE)
                order = self._prepared(request_id, prepare)
                self._activity.end(PREPARE)
                if order is None:
                    self._arrivals.put((request_id, prepare))  # behind those that came meanwhile
                else:
                    self._orders.put(order)

    def _prepared(self, request_id: int, prepare: Callable[[], Order | None]) -> Order | None:
        try:
            return prepare()
        except LmxError as error:
            return partial(self._fail, request_id, error)
        except Exception as error:  # the boundary around one request: templates and tokenizers are other people's code
            traceback.print_exc()
            told = EngineFailed(f"the prompt could not be prepared: {type(error).__name__}: {error}")
            return partial(self._fail, request_id, told)

    def _prepare(self, request_id: int, request: Any, arrived_s: float) -> Order:
        return partial(self._admit, self._preparation.answer(request_id, wire.request_from_wire(request), arrived_s))

    def _count(self, request_id: int, request: Any) -> Order:
        tokens = self._preparation.count(wire.request_from_wire(request))
        return partial(self._finish, request_id, {"prompt_tokens": tokens})

    def _inputs(self, request_id: int, request: Any) -> Inputs:
        wanted = wire.embedding_from_wire(request)
        return Inputs(request_id, wanted, self._engine.tokenizer, self._description.context_length)

    def _prepare_inputs(self, inputs: Inputs) -> Order | None:
        if Capability.EMBED not in self._description.capabilities:
            raise unable(inputs.request.model, "embed")
        check_dimensions(inputs.request.dimensions, self._description.details)
        return partial(self._accept, inputs) if inputs.advance() else None

    def _accept(self, inputs: Inputs) -> None:
        if inputs.id in self._activity.live:  # else it was cancelled meanwhile
            self._desk.put(Work.of(inputs))

    def _admit(self, answer: Answer) -> None:
        if answer.id not in self._activity.live:
            return  # cancelled meanwhile
        self._answers[answer.id] = answer
        try:
            for row in answer.rows:
                row.id = next(self._row_ids)
                self._engine.add(row.id, row.request)
                self._rows[row.id] = row
        except LmxError as error:
            self._fail(answer.id, error)
            return
        self._send([answer.begun(), *answer.opening])

    def _embed(self) -> None:
        """One batch, of the request whose turn it is."""
        work = self._desk.turn()
        self._activity.begin(EMBED)
        try:
            self._link.send("vectors", work.id, self._embedded(work))
        except LmxError as error:
            self._fail(work.id, error)
        except Exception as error:  # the boundary around one request: the rows go on
            traceback.print_exc()
            self._fail(work.id, EngineFailed(f"the engine gave up: {type(error).__name__}: {error}"))
        else:
            if work.done:
                self._finish(work.id, work.result())
        self._activity.end(EMBED)
        self._trim_timer.worked()

    def _embedded(self, work: Work) -> Sequence[Placed]:
        if not isinstance(self._engine, EmbeddingStepEngine):
            raise PluginError("the engine says that it embeds, and has no method `embed`; mend the plugin")
        return self._desk.embed(work, self._engine, beside_rows=bool(self._rows))

    def _send(self, pieces: Sequence[wire.WirePiece]) -> None:
        if pieces:
            for request_id, error in send_step(self._link, pieces).items():
                self._fail(request_id, error)

    def _describe(self) -> EngineDescription:
        return constraints.described(self._engine.describe(), self._dialect, self._constraints)

    def _call(self, call_id: int, method: str, arguments: Sequence[Any]) -> None:
        try:
            called = self._describe if method == "describe" else getattr(self._engine, method)
            self._link.send("result", call_id, called(*arguments))
        except LmxError as error:
            self._fail(call_id, error)
        except Exception as error:  # the boundary around one call
            traceback.print_exc()
            self._fail(call_id, EngineFailed(f"{method} failed: {type(error).__name__}: {error}"))

    def _give_up(self, row: Row, error: LmxError) -> None:
        """Fail its request after this step; of several rows that fail in one step the first one does."""
        request_id = row.answer.id
        self._orders.put(lambda: self._fail(request_id, error) if request_id in self._answers else None)

    def _finish(self, request_id: int, result: Any) -> None:
        """The end of a request that is answered all at once."""
        self._drop(request_id)
        self._link.send("result", request_id, result)

    def _fail(self, request_id: int, error: LmxError) -> None:
        self._drop(request_id)
        self._send(self._outbox.take_all())
        self._link.send("failed", request_id, wire.error_to_wire(error))

    def _drop(self, request_id: int) -> None:
        self._activity.live.discard(request_id)
        self._desk.drop(request_id)
        answer = self._answers.pop(request_id, None)
        for row in answer.rows if answer else ():
            if self._rows.pop(row.id, None):
                self._engine.cancel(row.id)

"""A request's life: resolve, check capabilities, admit, generate; the first target that works answers."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from attrs import define, field

from lmx.accounting import Accounting, Record
from lmx.admission import Admission, Attempt, Call, WorkerAway
from lmx.canonical import Canonicaliser
from lmx.deadline import Deadline
from lmx.fitting import fit, with_defaults_of
from lmx.models.lifecycle import Lifecycle
from lmx.predictor import Predictor
from lmx.preparing import prepared
from lmx.routing import Router
from lmx.targets import Targets
from lmx.unmasked import JudgeOf, unmasked_of, with_words
from lmx.workers import Deadly, Pieces
from lmx.workers.progress import Progress
from lmx_hookspecs import Capability, GenerationRequest, LmxError, Outcome, Piece, Scheduler
from lmx_hookspecs.errors import (
    Busy,
    EngineFailed,
    InsufficientMemory,
    InvalidRequest,
    ModelNotFound,
    TimedOut,
    Unavailable,
    UnsupportedParameter,
)
from lmx_hookspecs.scheduling import Guard

TRY_ELSEWHERE = (Busy, EngineFailed, InsufficientMemory, ModelNotFound, Unavailable, UnsupportedParameter)
"""Errors of a target rather than of the request: the next target may do better."""
UNCOUNTED = "token counts are unknown: what answers does not report them"
UNREAD = (
    "the answer was not read within the request's time limit; read faster, or raise X-Timeout or "
    "models.inference_timeout_sec"
)
LOOK_AGAIN_S = 1.0
"""How soon a request whose time is up is looked at again that somebody was just reading."""


def _nothing() -> None:
    """Nobody waits for the end."""


@define(eq=False)
class Pipeline:
    """Runs requests."""

    router: Router
    models: Lifecycle
    scheduler: Scheduler
    guards: Sequence[Guard]
    accounting: Accounting
    timeout_s: float = 300.0
    max_rows: int | None = None
    """`models.max_concurrent_requests`; None follows the engine's batch size."""
    predictor: Predictor = field(factory=Predictor)
    canonicaliser: Canonicaliser = field(factory=Canonicaliser)
    judges: Sequence[JudgeOf] = ()
    """Check JSON of engines that draw without masks."""
    on_end: Callable[[], None] = _nothing
    """Called when a request has ended and freed what it held."""
    admission: Admission = field(init=False)
    """The way in, for calls of other kinds too."""

    def __attrs_post_init__(self) -> None:
        self.admission = Admission(
            self.models, self.scheduler, self.guards, self.accounting.log, max_rows=lambda: self.max_rows
        )

    async def generate(self, request: GenerationRequest) -> "RunningGeneration":
        """Admit the request to the first target that takes it."""
        request, notes = prepared(request, self.router.presets, self.canonicaliser)
        targets = Targets([*await self.router.resolve(request.model)])
        record = Record(request, targets.first, targets.tried)
        self.predictor.saw(record.model)
        running = RunningGeneration(
            self, request, targets, record, Deadline.of(request.timeout_s, self.timeout_s), notes
        )
        self.accounting.arrived(record)
        try:
            await running.open_next()
        except BaseException as error:
            await running.end(error)
            raise
        running.watch()
        return running

    async def enter(self, running: "RunningGeneration", attempt: Attempt, *, patient: bool) -> Pieces:
        """Fit the request to the target of this attempt, enter it, and give the engine the request."""
        request, warnings = running.request, running.warnings
        outlook = await self.models.outlook(attempt.target)
        able = with_words(outlook.capabilities, request, self.judges)
        fitted = fit(with_defaults_of(request, outlook.info), able, warnings)
        call = Call(
            deadline=running.deadline,
            weight=fitted.choices,
            key=fitted.key,
            client=fitted.client,
            priority=fitted.priority,
            patient=patient,
        )
        resident = await self.admission.enter(attempt, outlook, call, running.record)
        running.record.served_by = resident.served_by
        found = with_words(resident.capabilities, fitted, self.judges)
        exact = fitted if found == able else fit(fitted, found, warnings)
        generate = partial(resident.engine.generate, progress=running.record.progress)
        if exact.response_format is None or Capability.RESPONSE_FORMAT in resident.capabilities:
            return generate(exact)
        unmasked = await unmasked_of(exact, self.judges)
        return unmasked.answer(exact, generate, warnings)


class Unread(TimedOut):
    """Its time ran out while nobody read."""


@define(eq=False)
class RunningGeneration:
    """The contract's Generation: pieces from the first target that works."""

    pipeline: Pipeline
    request: GenerationRequest
    targets: Targets
    record: Record
    deadline: Deadline
    notes: Sequence[str] = ()
    """Warnings that hold whichever target answers."""
    warnings: list[str] = field(init=False)
    _attempt: Attempt | None = None
    _pieces: Pieces | None = None
    _ended: bool = False
    _reading: bool = False
    """Somebody waits for the next piece."""
    _unread: "Unread | None" = None
    _timer: asyncio.TimerHandle | None = None
    _parting: "asyncio.Task[None] | None" = None
    """Gives back, before the reader is through, what is no longer needed."""

    def __attrs_post_init__(self) -> None:
        self.warnings = [*self.notes]

    @property
    def model(self) -> str:
        """The id of the model that answers."""
        return self.record.model

    @property
    def served_by(self) -> str:
        """The backend, or the node, and the model that answer."""
        return self.record.served_by

    @property
    def prompt_tokens(self) -> int:
        """As far as the engine has told."""
        return self.record.progress.prompt_tokens

    def __aiter__(self) -> "RunningGeneration":
        return self

    async def __anext__(self) -> Piece:
        if self._ended:
            raise self._unread or StopAsyncIteration
        self._reading = True
        try:
            piece = await self._next()
        except StopAsyncIteration:
            await self.end(None)
            raise
        except BaseException as error:
            await self.end(error)
            raise
        finally:
            self._reading = False
        self.pipeline.accounting.piece(self.record, piece)
        self.warnings.extend(piece.warnings)
        if piece.usage is not None and not piece.usage.counted:
            self.warnings.append(UNCOUNTED)
        return piece

    async def aclose(self) -> None:
        """Cancel what still runs and free the place."""
        if not self._ended:
            await self.end(asyncio.CancelledError())

    async def open_next(self) -> None:
        """Enter the next target, passing over those that cannot take the request now."""
        while True:
            target = self.targets.take()
            fallbacks = self._fallbacks(target)
            patient = self.targets.is_last_resort(target, fallbacks)
            self.record.model, self.warnings[:] = target, self.notes
            attempt = self._attempt = Attempt(target, self.pipeline.accounting.log)
            self.record.progress = Progress(partial(self.engine_is_done, attempt))
            try:
                self._pieces = await self.pipeline.enter(self, attempt, patient=patient)
            except WorkerAway as error:
                self.targets.add(fallbacks)
                self.targets.postpone(target)
                await self._leave(error)
            except LmxError as error:
                await self._go_elsewhere(target, error)
            else:
                return

    def watch(self) -> None:
        """End it with its time, even if nobody asks for a piece any more."""
        self._timer = asyncio.get_running_loop().call_later(self.deadline.left_s(), self._time_is_up)

    def engine_is_done(self, attempt: Attempt, error: LmxError | None) -> None:
        """Give the place back at once where nobody reads: what is still to be read needs neither place nor model."""
        if attempt is self._attempt and not self._reading:
            outcome = self._outcome(attempt, error)
            self._parting = asyncio.create_task(attempt.leave(outcome), name=f"leave {attempt.target}")

    async def end(self, error: BaseException | None) -> None:
        """Free everything once, tell the guards, and account for the request."""
        if self._ended:
            return
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        try:
            await self._leave(error)
        finally:
            code = "ok" if error is None else getattr(error, "code", "internal_error")
            cancelled = isinstance(error, asyncio.CancelledError | GeneratorExit)
            reason = getattr(error, "message", None)
            self.pipeline.accounting.ended(self.record, "cancelled" if cancelled else code, reason)
            self.pipeline.on_end()

    async def _next(self) -> Piece:
        while True:
            if self._pieces is None:
                await self.open_next()
            pieces = self._pieces
            if pieces is None:
                raise StopAsyncIteration
            left_s = self.deadline.left_s()
            if left_s == 0:
                raise self.deadline.passed()  # a timeout of 0 would let pass what is already there
            try:
                async with asyncio.timeout(left_s):
                    return await anext(pieces)
            except TimeoutError as error:
                raise self.deadline.passed() from error
            except LmxError as error:
                if self.record.first_piece is not None:
                    raise
                await self._go_elsewhere(self.model, error)

    def _time_is_up(self) -> None:
        if self._reading:  # that has a time limit of its own, but the reader may not come back for another piece
            self._timer = asyncio.get_running_loop().call_later(LOOK_AGAIN_S, self._time_is_up)
        else:
            self._unread = Unread(UNREAD)
            self._parting = asyncio.create_task(self.end(self._unread), name=f"end {self.record.request.request_id}")

    async def _go_elsewhere(self, target: str, error: LmxError) -> None:
        """Leave a target that cannot answer; raises where nobody else can be asked, or nobody else should be."""
        unusable = isinstance(error, TRY_ELSEWHERE) and not isinstance(error, Deadly)
        unsuited = self.targets.is_fallback(target) and not isinstance(error, Deadly | TimedOut)
        if not unusable and not unsuited:
            raise error
        self.targets.refusals.append(error)
        if not isinstance(error, InvalidRequest):  # a fallback stands in for a target, it does not forgive a request
            self.targets.add(self._fallbacks(target))
        await self._leave(error)
        if not self.targets:
            raise self.targets.verdict()

    def _fallbacks(self, target: str) -> Sequence[str]:
        return () if self.request.exact else self.pipeline.router.fallbacks(target)

    async def _leave(self, error: BaseException | None) -> None:
        """Close the engine's iterator, tell the guards, and give back what the target was entered with."""
        attempt, self._attempt = self._attempt, None
        pieces, self._pieces = self._pieces, None
        try:
            if pieces is not None:
                await pieces.aclose()
        finally:
            if attempt is not None:
                await attempt.leave(self._outcome(attempt, error))

    def _outcome(self, attempt: Attempt, error: BaseException | None) -> Outcome:
        if error is None:
            return Outcome.OK
        if isinstance(error, Unread) or (isinstance(error, TimedOut) and self.record.progress.at_work):
            return Outcome.CANCELLED  # it was at work; what it was asked for takes longer than it may
        return attempt.outcome_of(error, self.deadline)

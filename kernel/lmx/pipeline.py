"""A request's life: resolve, check capabilities, admit, lease, guard, generate; the first target that works answers."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack
from time import monotonic, perf_counter
from typing import Any

from attrs import define, evolve, field

from lmx.accounting import Accounting, Record
from lmx.models.lifecycle import Lifecycle, Outlook
from lmx.predictor import Predictor
from lmx.presets import applied
from lmx.routing import Router
from lmx_hookspecs import GenerationRequest, ModelInfo, Outcome, Piece, Scheduler, Ticket, used_fields, without_fields
from lmx_hookspecs.capabilities import FIELD_CAPABILITIES, INDISPENSABLE, Capability
from lmx_hookspecs.errors import (
    Busy,
    EngineFailed,
    InsufficientMemory,
    LmxError,
    TimedOut,
    Unavailable,
    UnsupportedParameter,
)
from lmx_hookspecs.scheduling import Guard

TRY_ELSEWHERE = (Busy, EngineFailed, InsufficientMemory, Unavailable, UnsupportedParameter)
"""Errors of a target rather than of the request: the next target may do better."""
WIRE_NAMES = {"prompts": "prompt"}
"""Fields that clients know by another name."""
DEFAULT_ROWS = 32


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
    on_end: Callable[[], None] = _nothing
    """Called when a request has ended and freed what it held."""

    async def generate(self, request: GenerationRequest) -> "RunningGeneration":
        """Admit the request to the first target that takes it."""
        preset = self.router.presets.named(request.model)
        request, notes = (request, []) if preset is None else applied(preset, request)
        targets = await self.router.resolve(request.model)
        self.predictor.saw(targets[0])
        record = Record(request, targets[0])
        deadline = monotonic() + min(request.timeout_s or self.timeout_s, self.timeout_s)
        running = RunningGeneration(self, request, list(targets), record, deadline, notes)
        self.accounting.arrived(record)
        try:
            await running.open_next()
        except BaseException as error:
            await running.end(error)
            raise
        return running

    async def enter(self, running: "RunningGeneration", target: str) -> AsyncGenerator[Piece, None]:
        """Queue, load and guard for `target`; what must be left again goes on the generation's exit stack."""
        outlook = await self.models.outlook(target)
        fitted = fit(with_defaults_of(running.request, outlook.info), outlook.capabilities, running.warnings)
        ticket = Ticket(
            model=target,
            resident=outlook.ready,
            weight=fitted.choices,
            limit=self._limit(outlook),
            key=fitted.key,
            client=fitted.client,
            priority=fitted.priority,
            deadline=running.deadline,
        )
        began = perf_counter()
        await running.stack.enter_async_context(self.scheduler.admit(ticket))
        admitted = perf_counter()
        running.record.queue_s += admitted - began
        async with asyncio.timeout(running.left_s()):
            resident = await running.stack.enter_async_context(self.models.lease(target))
        running.record.load_s += perf_counter() - admitted
        for guard in self.guards:
            running.reports.append(await running.stack.enter_async_context(guard.call(target)))
        return resident.engine.generate(fit(fitted, resident.capabilities, running.warnings))

    def _limit(self, outlook: Outlook) -> int:
        settings = outlook.info.settings
        configured = settings.get("max_concurrent_requests") or self.max_rows
        if configured is not None:
            return int(configured)
        return 1 if settings.get("mode") == "single" else outlook.max_rows or DEFAULT_ROWS


@define(eq=False)
class RunningGeneration:
    """The contract's Generation: pieces from the first target that works."""

    pipeline: Pipeline
    request: GenerationRequest
    targets: list[str]
    record: Record
    deadline: float
    notes: Sequence[str] = ()
    """Warnings that hold whichever target answers."""
    warnings: list[str] = field(init=False)
    reports: list[Callable[[Outcome], None]] = field(factory=list)
    stack: AsyncExitStack = field(factory=AsyncExitStack)
    _pieces: AsyncGenerator[Piece, None] | None = None
    _ended: bool = False

    def __attrs_post_init__(self) -> None:
        self.warnings = [*self.notes]

    @property
    def model(self) -> str:
        """The id of the model that answers."""
        return self.record.model

    def left_s(self) -> float:
        """Seconds until the deadline; never negative."""
        return max(0.0, self.deadline - monotonic())

    def __aiter__(self) -> "RunningGeneration":
        return self

    async def __anext__(self) -> Piece:
        if self._ended:
            raise StopAsyncIteration
        try:
            piece = await self._next()
        except StopAsyncIteration:
            await self.end(None)
            raise
        except BaseException as error:
            await self.end(error)
            raise
        self.pipeline.accounting.piece(self.record, piece)
        return piece

    async def aclose(self) -> None:
        """Cancel what still runs and free the place."""
        if not self._ended:
            await self.end(asyncio.CancelledError())

    async def open_next(self) -> None:
        """Enter the next target, passing over those that cannot take the request now."""
        while True:
            target = self.targets.pop(0)
            self.record.model = target
            self.record.attempts += 1
            try:
                self._pieces = await self.pipeline.enter(self, target)
            except TimeoutError as error:
                raise self._timed_out() from error
            except TRY_ELSEWHERE:
                if not self.targets:
                    raise
                await self._leave(Outcome.CANCELLED)  # the guards that let it in have seen no attempt
            else:
                return

    async def end(self, error: BaseException | None) -> None:
        """Free everything once, tell the guards, and account for the request."""
        if self._ended:
            return
        self._ended = True
        try:
            await self._leave(outcome_of(error) if self._pieces is not None else Outcome.CANCELLED)
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
            left_s = self.left_s()
            if left_s == 0:
                raise self._timed_out()  # a timeout of 0 would let pass what is already there
            try:
                async with asyncio.timeout(left_s):
                    return await anext(pieces)
            except TimeoutError as error:
                raise self._timed_out() from error
            except TRY_ELSEWHERE:
                if self.record.first_piece is not None or not self.targets:
                    raise
                await self._leave(Outcome.FAULT)

    async def _leave(self, outcome: Outcome) -> None:
        """Tell the guards, close the engine's iterator, and give back what the target was entered with."""
        reports, self.reports = self.reports, []
        pieces, self._pieces = self._pieces, None
        stack, self.stack = self.stack, AsyncExitStack()
        if self.targets:
            self.warnings[:] = self.notes
        try:
            if pieces is not None:
                await pieces.aclose()
        finally:
            for report in reports:
                self._tell(report, outcome)
            await stack.aclose()

    def _tell(self, report: Callable[[Outcome], None], outcome: Outcome) -> None:
        try:
            report(outcome)
        except Exception as error:  # a guard's bug must not spoil an answer that is complete, nor keep its place
            self.pipeline.accounting.log.error("guard_failed", model=self.model, exc_info=error)

    def _timed_out(self) -> TimedOut:
        return TimedOut(
            f"the request took longer than its time limit ({self.deadline - self.record_start():.0f} s); "
            "ask for fewer tokens, or raise X-Timeout or models.inference_timeout_sec"
        )

    def record_start(self) -> float:
        """When the request arrived, on the clock of `deadline`."""
        return monotonic() - (perf_counter() - self.record.arrived)


def with_defaults_of(request: GenerationRequest, info: ModelInfo) -> GenerationRequest:
    """The request with the model's own sampling defaults where the client left a field open."""
    wanted: dict[str, Any] = {name: value for name, value in info.sampling.items() if name in request.open_sampling}
    return evolve(request, sampling=evolve(request.sampling, **wanted)) if wanted else request


def fit(request: GenerationRequest, capabilities: frozenset[str], warnings: list[str]) -> GenerationRequest:
    """The request as this backend can honour it: raises UnsupportedParameter, or drops and warns when lenient."""
    needs = {name: FIELD_CAPABILITIES[name] for name in used_fields(request)}
    if any(not isinstance(prompt, str) for prompt in request.prompts):
        needs["prompts"] = Capability.TOKEN_PROMPTS
    missing = sorted(name for name, capability in needs.items() if capability not in capabilities)
    if not missing:
        return request
    refused = missing if not request.lenient else [name for name in missing if name in INDISPENSABLE]
    if refused:
        param = WIRE_NAMES.get(refused[0], refused[0])
        raise UnsupportedParameter(
            f"{param!r} is not supported by model {request.model!r}; leave it out, or send "
            "the header X-LMX-Lenient: 1 to have it dropped",
            param=param,
        )
    warnings.extend(f"{name} was dropped: the model's backend does not support it" for name in missing)
    return without_fields(request, missing)


def outcome_of(error: BaseException | None) -> Outcome:
    """What a guard is told: faults are the engine's, client errors are not."""
    if error is None:
        return Outcome.OK
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return Outcome.CANCELLED
    if isinstance(error, EngineFailed | TimedOut | Unavailable) or not isinstance(error, LmxError):
        return Outcome.FAULT
    return Outcome.CLIENT_ERROR

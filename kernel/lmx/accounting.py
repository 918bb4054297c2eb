"""The one place where the end of a request becomes metrics, an event and a line in the log."""

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

from attrs import define, field

from lmx import prompt_size
from lmx.workers.progress import Progress
from lmx_hookspecs import (
    EmbeddingRequest,
    EventsService,
    GenerationRequest,
    Logger,
    Metrics,
    Piece,
    RerankRequest,
    Usage,
)

REQUEST_BUCKETS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
TOKEN_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


WORKED_FOR = frozenset({"ok", "cancelled", "timeout"})
"""Outcomes of requests that may have cost an engine as much as it takes to read the prompt."""
UNKNOWN = "unknown"
"""Stands for the model while none has been asked: names that clients make up are no labels."""


@define(eq=False)
class Record:
    """What is known of one request, filled in as it goes; times are in seconds on `perf_counter`'s clock."""

    request: GenerationRequest | EmbeddingRequest | RerankRequest
    model: str
    """The one that is asked at the moment, or was last: never a name that only the client knows."""
    tried: Sequence[str] = ()
    """The models that were asked to answer so far, in order."""
    served_by: str = ""
    """The backend, or the node, and the model that answer."""
    arrived: float = field(factory=perf_counter)
    queue_s: float = 0.0
    load_s: float = 0.0
    first_piece: float | None = None
    last_piece: float | None = None
    progress: Progress = field(factory=Progress)
    """That of the latest attempt in its engine."""
    usage: Usage | None = None


@define(eq=False)
class Accounting:
    """Instruments, and what is written with them."""

    metrics: Metrics
    events: EventsService
    log: Logger
    in_flight: int = 0
    _m: dict[str, Any] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        counter, histogram = self.metrics.counter, self.metrics.histogram
        model, client = ["model"], ["client"]
        self._m = {
            "requests": counter("lmx_requests", "Generations asked for."),
            "errors": counter("lmx_errors", "Generations that failed."),
            "streams": counter("lmx_stream_requests", "Generations that were streamed."),
            "prompt": counter("lmx_prompt_tokens", "Prompt tokens."),
            "cached": counter("lmx_cached_prompt_tokens", "Prompt tokens that came out of a prefix cache."),
            "completion": counter("lmx_completion_tokens", "Generated tokens."),
            "model_requests": counter("lmx_model_requests", "Generations that ended, by the last model asked.", model),
            "model_errors": counter("lmx_model_errors", "Failed generations per model.", model),
            "model_tokens": counter("lmx_model_tokens", "Generated tokens per model.", model),
            "client_requests": counter("lmx_client_requests", "Generations per X-Client-ID.", client),
            "client_tokens": counter("lmx_client_tokens", "Generated tokens per X-Client-ID.", client),
            "client_errors": counter("lmx_client_errors", "Failed generations per X-Client-ID.", client),
            "duration": histogram(
                "lmx_request_duration_seconds", "From arrival to the last piece.", model, REQUEST_BUCKETS_S
            ),
            "ttft": histogram(
                "lmx_time_to_first_token_seconds", "From arrival to the first piece.", model, LATENCY_BUCKETS_S
            ),
            "inter_token": histogram(
                "lmx_inter_token_seconds", "Between two pieces of a request.", model, TOKEN_BUCKETS_S
            ),
            "queue": histogram("lmx_queue_wait_seconds", "Waiting for admission.", model, LATENCY_BUCKETS_S),
            "load": histogram("lmx_load_wait_seconds", "Waiting for the model to load.", model, LATENCY_BUCKETS_S),
            "prefill": histogram(
                "lmx_prefill_seconds", "From arrival in the engine to its first token.", model, LATENCY_BUCKETS_S
            ),
        }

    def arrived(self, record: Record) -> None:
        """A request came in."""
        self.in_flight += 1
        self._m["requests"].inc()
        if record.request.stream:
            self._m["streams"].inc()
        if record.request.client:
            self._m["client_requests"].inc(client=record.request.client)

    def piece(self, record: Record, piece: Piece) -> None:
        """A piece went out; called for every one, so it only keeps times and observes one histogram."""
        now = perf_counter()
        if record.last_piece is None:
            record.first_piece = now
        else:
            self._m["inter_token"].observe(now - record.last_piece, model=record.model)
        record.last_piece = now
        if piece.usage is not None:
            record.usage = piece.usage

    def ended(self, record: Record, outcome: str, reason: str | None = None) -> None:
        """A request is over: `outcome` is ok, cancelled or the code of its error; never raises."""
        self.in_flight -= 1
        try:
            self._write(record, outcome, reason)
        except Exception as error:  # the boundary around an engine's own numbers: what was answered stays answered
            self.log.error("accounting_failed", request_id=record.request.request_id, exc_info=error)

    def _write(self, record: Record, outcome: str, reason: str | None) -> None:
        failed = outcome not in {"ok", "cancelled"}
        usage = record.usage or _usage_so_far(record.progress)
        total_s = perf_counter() - record.arrived
        self._count(record, usage, failed=failed)
        self._observe(record, usage, total_s)
        facts = self._facts(record, usage, outcome, total_s)
        (self.log.warning if failed else self.log.info)("generation", **facts, **({"reason": reason} if reason else {}))
        self.events.publish("request_completed", facts)

    def _count(self, record: Record, usage: Usage, *, failed: bool) -> None:
        m, model, client = self._m, record.model, record.request.client
        m["prompt"].inc(usage.prompt_tokens)
        m["cached"].inc(usage.cached_tokens)
        m["completion"].inc(usage.completion_tokens)
        m["model_requests"].inc(model=model)
        m["model_tokens"].inc(usage.completion_tokens, model=model)
        if failed:
            m["errors"].inc()
            m["model_errors"].inc(model=model)
        if client:
            m["client_tokens"].inc(usage.completion_tokens, client=client)
            if failed:
                m["client_errors"].inc(client=client)

    def _observe(self, record: Record, usage: Usage, total_s: float) -> None:
        m, model = self._m, record.model
        m["duration"].observe(total_s, model=model)
        m["queue"].observe(record.queue_s, model=model)
        m["load"].observe(record.load_s, model=model)
        if record.first_piece is not None and record.request.stream:  # otherwise all pieces come at the end
            m["ttft"].observe(record.first_piece - record.arrived, model=model)
        if record.usage is not None and isinstance(record.request, GenerationRequest):
            m["prefill"].observe(usage.prefill_s, model=model)

    def _facts(self, record: Record, usage: Usage, outcome: str, total_s: float) -> Mapping[str, Any]:
        streamed = record.request.stream and record.first_piece is not None
        ttft_s = record.first_piece - record.arrived if streamed and record.first_piece is not None else None
        return {
            "request_id": record.request.request_id,
            "surface": record.request.surface,
            "model": record.model,
            "served_by": record.served_by,
            "tried": list(record.tried),
            "key": record.request.key,
            "client": record.request.client,
            "outcome": outcome,
            "prompt_tokens": usage.prompt_tokens,
            "estimated_prompt_tokens": _estimate(record, usage, outcome),
            "cached_tokens": usage.cached_tokens,
            "completion_tokens": usage.completion_tokens,
            "queue_ms": _ms(record.queue_s),
            "load_ms": _ms(record.load_s),
            "prefill_ms": _ms(usage.prefill_s),
            "ttft_ms": _ms(ttft_s),
            "total_ms": _ms(total_s),
            "tokens_per_s": _rate(usage),
        }


def _usage_so_far(progress: Progress) -> Usage:
    return Usage(prompt_tokens=progress.prompt_tokens, completion_tokens=progress.tokens)


def _estimate(record: Record, usage: Usage, outcome: str) -> int:
    """Prompt tokens of a request that an engine has worked for and nobody has counted."""
    if usage.prompt_tokens or outcome not in WORKED_FOR:
        return 0
    was_sent = record.progress.sent if isinstance(record.request, GenerationRequest) else bool(record.served_by)
    return prompt_size.tokens(record.request) if was_sent else 0


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 2)


def _rate(usage: Usage) -> float | None:
    """Tokens per second after the first one; None where there was no second."""
    further = usage.completion_tokens - 1
    return round(further / usage.decode_s, 1) if further > 0 and usage.decode_s > 0 else None

"""Measures a model by asking it something."""

from collections.abc import Iterable, Sequence
from contextlib import aclosing
from statistics import fmean
from time import perf_counter

from attrs import define, frozen

from lmx_admin.wire import named_in_error, reply
from lmx_hookspecs import Context, GenerationRequest, Message, Piece, Request, Response, Sampling, Usage, option
from lmx_hookspecs.errors import EngineFailed

PROMPT = "Explain the theory of relativity in simple terms, and give an example from everyday life."


@frozen(kw_only=True)
class Benchmark:
    """The body of `POST /admin/benchmark`."""

    model_id: str = option(doc="id of the model; it is loaded first", min_length=1, max_length=1024)
    prompt: str = option(PROMPT, "what it is asked", min_length=1)
    max_tokens: int = option(128, "tokens of each answer at most", ge=1, le=4096)
    temperature: float = option(0.7, "as in a chat", ge=0, le=2)
    runs: int = option(1, "how often it is asked, one after the other", ge=1, le=5)


@frozen(kw_only=True)
class Run:
    """One answer. Rates are null where the answer was too short to have one."""

    run: int
    prompt_tokens: int
    cached_tokens: int
    """Those of the prompt that came out of a prefix cache: a later run may be spared its prefill."""
    tokens_generated: int
    time_to_first_token_ms: float
    total_time_ms: float
    tokens_per_second: float
    """Of the whole run, prefill included."""
    decode_tokens_per_second: float | None
    """From the first token to the last."""


@frozen(kw_only=True)
class BenchmarkAnswer:
    """The runs and their means."""

    model_id: str
    backend_type: str | None
    prompt: str
    max_tokens: int
    runs: int
    results: Sequence[Run]
    avg_tokens_per_second: float
    avg_decode_tokens_per_second: float | None
    avg_time_to_first_token_ms: float
    avg_total_time_ms: float


@define
class Stopwatch:
    """Watches one answer come; times are on the clock of `perf_counter`."""

    began_s: float
    first_s: float | None = None
    last_s: float = 0.0
    tokens: int = 0
    usage: Usage | None = None

    def saw(self, piece: Piece, now_s: float) -> None:
        """A piece has come."""
        if piece.tokens:
            self.first_s = now_s if self.first_s is None else self.first_s
            self.last_s = now_s
        self.tokens += piece.tokens
        self.usage = piece.usage or self.usage

    def run(self, number: int) -> Run:
        """What was seen; raises EngineFailed where no token came."""
        tokens = self.usage.completion_tokens if self.usage else self.tokens
        if self.first_s is None or not tokens:
            raise EngineFailed(f"the model generated nothing in run {number}; try another prompt")
        total_s, decode_s = self.last_s - self.began_s, self.last_s - self.first_s
        return Run(
            run=number,
            prompt_tokens=self.usage.prompt_tokens if self.usage else 0,
            cached_tokens=self.usage.cached_tokens if self.usage else 0,
            tokens_generated=tokens,
            time_to_first_token_ms=round((self.first_s - self.began_s) * 1e3, 2),
            total_time_ms=round(total_s * 1e3, 2),
            tokens_per_second=round(tokens / total_s, 2),
            decode_tokens_per_second=round((tokens - 1) / decode_s, 2) if decode_s > 0 else None,
        )


async def benchmark(ctx: Context, request: Request) -> Response:
    """Load the model, ask it, and tell how long it took; ends with the client."""
    asked: Benchmark = request.body
    with named_in_error("model_id"):
        status = await ctx.services.models.load(asked.model_id)
        results = [await _run(ctx, request, number) for number in range(1, asked.runs + 1)]
    return reply(
        BenchmarkAnswer(
            model_id=asked.model_id,
            backend_type=status.backend,
            prompt=asked.prompt,
            max_tokens=asked.max_tokens,
            runs=asked.runs,
            results=results,
            avg_tokens_per_second=round(fmean(run.tokens_per_second for run in results), 2),
            avg_decode_tokens_per_second=_mean(run.decode_tokens_per_second for run in results),
            avg_time_to_first_token_ms=round(fmean(run.time_to_first_token_ms for run in results), 2),
            avg_total_time_ms=round(fmean(run.total_time_ms for run in results), 2),
        )
    )


async def _run(ctx: Context, request: Request, number: int) -> Run:
    watch = Stopwatch(perf_counter())
    generation = await ctx.services.generate(_generation(request))
    async with aclosing(generation):
        async for piece in generation:
            watch.saw(piece, perf_counter())
    return watch.run(number)


def _generation(request: Request) -> GenerationRequest:
    asked: Benchmark = request.body
    return GenerationRequest(
        model=asked.model_id,
        messages=[Message(role="user", content=asked.prompt)],
        max_tokens=asked.max_tokens,
        sampling=Sampling(temperature=asked.temperature),
        request_id=request.id,
        surface="admin",
        stream=True,  # as it comes, so that the first token can be seen
        client=request.client,
        priority=request.priority,
        timeout_s=request.timeout_s,
    )


def _mean(rates: Iterable[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return round(fmean(known), 2) if known else None

"""The one file that reaches inside vllm-mlx; tied to the minor version in `pyproject.toml`.

MLX ties arrays to the thread that made them: `worker` is the one thread that loads the model and makes every step.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import mlx.core as mx
from attrs import define, field
from mlx.utils import tree_flatten
from vllm_mlx.engine_core import AsyncEngineCore, EngineConfig
from vllm_mlx.request import SamplingParams
from vllm_mlx.scheduler import SchedulerConfig
from vllm_mlx.utils.tokenizer import load_model_with_fallback

from lmx_vllm.answers import Output
from lmx_vllm.loop_errors import LoopErrors, watched_loop
from lmx_vllm.planning import RowPlan
from lmx_vllm.sampling import RowProcessor

PROBE = 0
"""A token that every vocabulary has."""


def new_worker() -> ThreadPoolExecutor:
    """The thread that owns the model."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="vllm-mlx")


def load(folder: Path, model_id: str, *, float32_on_cpu: bool) -> tuple[Any, Any]:
    """Model and tokenizer, without any code from the folder; call it on the worker thread."""
    model, tokenizer = load_model_with_fallback(
        str(folder), tokenizer_config={"trust_remote_code": False}, model_id=model_id
    )
    if float32_on_cpu and mx.default_device() == mx.cpu and not _quantised(model):
        model.set_dtype(mx.float32)
    mx.eval(model.parameters())
    return model, tokenizer


def logits_width(model: Any) -> int:
    """How many ids the model knows, from one step of it; call it on the worker thread."""
    logits = model(mx.array([[PROBE]]))
    mx.eval(logits)
    return int(logits.shape[-1])


@define(eq=False)
class Core:
    """A running batched engine."""

    _engine: Any
    _worker: ThreadPoolExecutor
    _started: asyncio.Task[None]
    _errors: LoopErrors
    _open: ExitStack
    _ids: "count[int]" = field(factory=count, init=False)

    @classmethod
    def start(cls, model: Any, tokenizer: Any, scheduler: Mapping[str, Any], worker: ThreadPoolExecutor) -> "Core":
        """Build the engine and let its loop begin; call it on the event loop that is to run it."""
        config = EngineConfig(scheduler_config=SchedulerConfig(**scheduler))
        build = lambda: AsyncEngineCore(model, tokenizer, config, generation_worker=worker)  # noqa: E731
        engine = worker.submit(build).result()
        errors = LoopErrors()
        opened = ExitStack()
        opened.enter_context(watched_loop(errors))
        started = asyncio.get_running_loop().create_task(engine.engine.start())
        return cls(engine, worker, started, errors, opened)

    async def outputs(self, row: RowPlan) -> AsyncGenerator[Output, None]:
        """What the row gets, to its end; closing the generator before aborts it in whatever stage it is."""
        await asyncio.shield(self._started)
        request_id = f"row-{next(self._ids)}"
        request, ended = None, False
        try:
            await self._engine.add_request(list(row.tokens), _parameters(row), request_id=request_id)
            request = self._scheduler.get_request(request_id)
            async for output in self._engine.stream_outputs(request_id):
                ended = output.finished
                yield Output(
                    text=output.new_text,
                    tokens=len(output.new_token_ids),
                    cached_tokens=request.cached_tokens if request else 0,
                    reason=output.finish_reason if ended else None,
                    whole_text=output.output_text if ended else "",
                )
        finally:
            if not ended:
                self._on_worker(lambda: self._abort(request_id, request))

    def fault(self) -> str | None:
        """Why it is beyond repair; None while it is not."""
        if self._started.done() and not self._started.cancelled() and (error := self._started.exception()):
            return f"its loop did not start: {error}"
        if not self._engine.is_healthy():
            return "its loop has ended"
        return self._errors.verdict

    def steps(self) -> int:
        """How many steps its loop has made; each takes in a part of a prompt, or draws a token for every row."""
        return int(self._engine.engine._steps_executed)  # noqa: SLF001  its get_stats walks rows that a step changes

    def rows(self) -> Mapping[str, int]:
        """Rows now."""
        return {"running": self._scheduler.get_num_running(), "waiting": self._scheduler.get_num_waiting()}

    def cache(self) -> Mapping[str, Any] | None:
        """The prefix cache's own figures; None where there is none."""
        stats: Mapping[str, Any] | None = self._engine.get_cache_stats()
        return stats

    def last_match(self) -> str | None:
        """How the last look into the prefix cache ended."""
        cache = self._scheduler.memory_aware_cache
        return None if cache is None else getattr(cache, "_last_match_type", None)

    async def close(self) -> None:
        """End the loop, abort what is left, and end the worker thread."""
        self._open.close()
        with suppress(Exception):  # why it did not start, `fault` has told
            await asyncio.shield(self._started)
        await self._engine.stop()
        await asyncio.get_running_loop().run_in_executor(self._worker, self._engine.engine.close)
        self._worker.shutdown(wait=True)

    @property
    def _scheduler(self) -> Any:
        return self._engine.engine.scheduler

    def _on_worker(self, work: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # it has been shut down, and every row with it
            self._worker.submit(work)

    def _abort(self, request_id: str, request: Any) -> None:
        """Between two steps. vllm-mlx's own abort forgets a row that still waits, which then runs for nobody."""
        scheduler = self._scheduler
        held = request or scheduler.get_request(request_id)
        if held is not None and held in scheduler.waiting:
            scheduler.waiting.remove(held)
        scheduler.abort_request(request_id)
        scheduler.remove_finished_request(request_id)


def _quantised(model: Any) -> bool:
    return any(array.dtype == mx.uint32 for _, array in tree_flatten(model.parameters()))


def _parameters(row: RowPlan) -> Any:
    """The shared sampler is greedy; the row's own processor has drawn before it looks."""
    return SamplingParams(
        max_tokens=row.max_tokens,
        temperature=0.0,
        top_p=1.0,
        logits_processors=[RowProcessor.of(row.sampling, row.tokens)],
    )


def facts(model: Any) -> Mapping[str, Any]:
    """What the engine is, for people."""
    parameters = [array for _, array in tree_flatten(model.parameters())]
    return {
        "vllm_mlx": version("vllm-mlx"),
        "mlx_lm": version("mlx-lm"),
        "architecture": getattr(model, "model_type", None),
        "device": "metal" if mx.metal.is_available() else str(mx.default_device()),
        "dtypes": sorted({str(array.dtype).removeprefix("mlx.core.") for array in parameters}),
        "weight_bytes": sum(array.nbytes for array in parameters),
    }

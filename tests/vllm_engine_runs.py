"""What the interpreter of `LMX_VLLM_PYTHON` runs: each function takes vllm-mlx's engine through one story.

    python tests/vllm_engine_runs.py STORY

It prints one JSON object as its last line. Stories look inside vllm-mlx to see that nothing is left there.
"""

import asyncio
import json
import shutil
import sys
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from attrs import evolve

import lmx_vllm.core  # the longest part of a load
from lmx_hookspecs import BackendSpec, GenerationRequest, LoopingEngine, Message, ModelInfo, Sampling
from lmx_hookspecs.errors import EngineFailed, LmxError
from lmx_hookspecs.testing import FakeContext, check_plugin, check_text_engine
from lmx_tiny import lmx_model_sources
from lmx_vllm.config import VllmConfig
from lmx_vllm.engine import VllmEngine

GREEDY = Sampling(temperature=0.0)
ASK = GenerationRequest(
    model="lmx-tiny", messages=[Message(role="user", content="How do I list the plugins?")], sampling=GREEDY
)
ENDLESS = GenerationRequest(
    model="lmx-tiny", prompts=["LMX"], sampling=Sampling(temperature=0.0, logit_bias={300: 100.0})
)
"""One token for ever, as far as the context goes."""
PATIENCE_S = 60.0


def backend() -> BackendSpec:
    (spec,) = check_plugin(import_module("lmx_vllm"))["lmx_backends"]
    return cast("BackendSpec", spec)


def tiny(**settings: Any) -> ModelInfo:
    (source,) = lmx_model_sources()
    model = source.open(FakeContext()).find("lmx-tiny")
    assert model is not None
    return evolve(model, settings=settings)


def loaded(config: VllmConfig | None = None, **settings: Any) -> VllmEngine:
    return cast("VllmEngine", backend().load(FakeContext(config=config or VllmConfig()), tiny(**settings)))


async def text_of(engine: VllmEngine, request: GenerationRequest) -> str:
    return "".join([piece.text async for piece in engine.generate(request)])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  what is waited for tells nobody
            await asyncio.sleep(0.01)


def holds(engine: VllmEngine) -> dict[str, int]:
    """Everything that vllm-mlx still has of any request."""
    scheduler = engine.core._scheduler
    batches = scheduler.batch_generator
    return {
        "requests": len(scheduler.requests),
        "waiting": len(scheduler.waiting),
        "running": len(scheduler.running),
        "rows": len(batches._generation_batch) + len(batches._prompt_batch) + len(batches._unprocessed_sequences),
        "collectors": len(engine.core._engine.engine._output_collectors),
    }


async def aborted(engine: VllmEngine, request: GenerationRequest, ready: Callable[[], bool]) -> None:
    """Ask, and leave once it is where it is to be left."""

    async def ask() -> None:
        async with aclosing(cast("Any", engine.generate(request))) as pieces:
            async for _ in pieces:
                pass

    task = asyncio.create_task(ask())
    await until(ready)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def contract() -> dict[str, Any]:
    await asyncio.to_thread(check_text_engine, backend(), tiny(), VllmConfig(), PATIENCE_S)
    return {"kept": True}


async def cancelling() -> dict[str, Any]:
    """While it waits for a place, while its prompt goes in, and while it decodes."""
    engine = loaded(VllmConfig(prefill_step_size=16), completion_batch_size=1)
    scheduler = engine.core._scheduler
    long = evolve(ENDLESS, prompts=["LMX has plugins. " * 400])
    try:
        decoding = asyncio.create_task(text_of(engine, ENDLESS))
        await until(lambda: engine.core.rows()["running"] == 1)
        await aborted(engine, ENDLESS, lambda: engine.core.rows()["waiting"] == 1)
        await until(lambda: engine.core.rows()["waiting"] == 0)
        decoding.cancel()
        await asyncio.gather(decoding, return_exceptions=True)
        await until(lambda: engine.core.rows()["running"] == 0)
        await aborted(
            engine, long, lambda: len(scheduler.running) == 1 and engine.core._engine.engine._steps_executed > 0
        )
        await until(lambda: not any(holds(engine).values()))
        steps = engine.core._engine.engine._steps_executed
        await asyncio.sleep(0.5)
        idle = engine.core._engine.engine._steps_executed == steps
        return {"holds": holds(engine), "idle": idle, "after": await text_of(engine, ASK)}
    finally:
        await engine.close()


async def company() -> dict[str, Any]:
    """Rows with other sampling in one batch change nothing."""
    engine = loaded()
    asked = [
        ASK,
        evolve(ASK, sampling=Sampling(temperature=3.0, seed=1), max_tokens=20),
        evolve(ASK, sampling=Sampling(temperature=3.0, seed=2, top_k=5), max_tokens=20),
        evolve(ASK, sampling=Sampling(temperature=0.0, repetition_penalty=1.5), max_tokens=20),
        evolve(ASK, sampling=Sampling(temperature=0.0, logit_bias={5: 3.0}, frequency_penalty=0.5), max_tokens=20),
    ]
    try:
        alone = [await text_of(engine, request) for request in asked]
        together = await asyncio.gather(*(text_of(engine, request) for request in asked * 2))
        return {"alone": alone, "together": together}
    finally:
        await engine.close()


async def failing_step() -> dict[str, Any]:
    """A step that raises fails those that were in it, and nobody else."""
    engine = loaded()
    try:
        await text_of(engine, ASK)
        batches = engine.core._scheduler.batch_generator

        def fail() -> None:
            raise ValueError("boom")

        batches.next = fail
        caught = await asyncio.gather(text_of(engine, ASK), text_of(engine, ASK), return_exceptions=True)
        failed = [isinstance(error, EngineFailed) for error in caught]
        return {"failed": failed, "after": await text_of(engine, ASK), "fault": engine.core.fault()}
    finally:
        await engine.close()


async def dead_loop() -> dict[str, Any]:
    """A loop that has ended."""
    engine = loaded()
    await text_of(engine, ASK)
    engine.core._engine.engine._task.cancel()
    async with asyncio.timeout(PATIENCE_S):
        return {"death": await engine.death()}


async def hopeless_loop() -> dict[str, Any]:
    """A loop whose every step raises what vllm-mlx does not recover from."""
    engine = loaded()
    await text_of(engine, ASK)

    def fail() -> None:
        raise RuntimeError("boom")

    engine.core._scheduler._schedule_waiting = fail
    engine.core._scheduler.step = fail
    asking = asyncio.create_task(text_of(engine, ASK))
    async with asyncio.timeout(PATIENCE_S):
        death = await engine.death()
    asking.cancel()
    return {"death": death}


async def foreign_code() -> dict[str, Any]:
    """A folder whose configuration names a Python file, which mlx-lm would run."""
    with TemporaryDirectory() as name:
        folder, witness = Path(name) / "model", Path(name) / "witness"
        shutil.copytree(cast("Path", tiny().path), folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "model_file": "code.py"}))
        (folder / "code.py").write_text(f"open({str(witness)!r}, 'w').close()")
        model = evolve(tiny(ignore_remote_code=True), path=folder)
        try:
            backend().load(FakeContext(config=VllmConfig()), model)
        except LmxError as error:
            return {"code": error.code, "ran": witness.exists()}
    return {"code": None}


async def description() -> dict[str, Any]:
    """What it says of itself, once it has answered twice."""
    engine = loaded(completion_batch_size=6, context_length=2048)
    long = "LMX is a server. " * 60
    asked = [
        evolve(ASK, max_tokens=8, messages=[Message(role="user", content=long)]),
        evolve(ASK, max_tokens=8, messages=[Message(role="user", content=long + "Tell me more.")]),
    ]
    try:
        usages = []
        for request in asked:
            pieces = [piece async for piece in engine.generate(request)]
            usages.append(pieces[-1].usage)
        told = engine.describe()
        return {
            "context_length": told.context_length,
            "watched": isinstance(engine, LoopingEngine) and engine.steps() > 0,
            "max_rows": told.max_rows,
            "memory_bytes": told.memory_bytes,
            "details": dict(told.details),
            "cached_tokens": [usage.cached_tokens for usage in usages if usage],
            "prompt_tokens": [usage.prompt_tokens for usage in usages if usage],
        }
    finally:
        await engine.close()


STORIES: dict[str, Callable[[], Coroutine[Any, Any, dict[str, Any]]]] = {
    story.__name__: story
    for story in (contract, cancelling, company, failing_step, dead_loop, hopeless_loop, foreign_code, description)
}

if __name__ == "__main__":
    print(lmx_vllm.core.__name__, json.dumps(asyncio.run(STORIES[sys.argv[1]]())), sep="\n")  # noqa: T201  its answer

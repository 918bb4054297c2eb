"""The load of one model: reserve, start the engine, measure, warm up."""

import asyncio
from contextlib import aclosing

from lmx.models.estimate import estimated
from lmx.models.resident import Resident
from lmx.models.room import Room
from lmx.workers import EngineState
from lmx_hookspecs import EmbeddingRequest, GenerationRequest, Logger, Message, Sampling
from lmx_hookspecs.capabilities import Capability
from lmx_hookspecs.errors import EngineFailed, LmxError, Unavailable

GENERATES = frozenset({Capability.CHAT, Capability.COMPLETION})


async def bring_up(resident: Resident, room: Room, log: Logger, *, warm: bool) -> None:
    """Everything until the engine takes requests; what it holds when this raises is the caller's to give back."""
    resident.estimate = estimate = await estimated(resident.backend.spec, resident.info, log, resident.terms.draft)
    resident.claim = await room.reserve(resident, estimate)
    resident.description = await resident.engine.start()
    await room.settle(resident, resident.claim, estimate, resident.description.memory_bytes)
    if warm and resident.backend.spec.warm_up:
        await warm_up(resident, log)
    if resident.engine.state is EngineState.QUARANTINED:
        raise EngineFailed("its workers keep dying; the log says why", detail=resident.reason)


async def loaded(resident: Resident) -> None:
    """Wait for a load that belongs to everybody who waits for it: one who gives up must not cancel it."""
    task = resident.loading
    if task is None:
        raise LmxError(f"model {resident.info.id!r} is {resident.state}, and nobody loads it")
    await asyncio.wait([task])
    if task.cancelled():
        raise Unavailable(f"the load of {resident.info.id!r} was cancelled", code="model_draining", param="model")
    task.result()


async def warm_up(resident: Resident, log: Logger) -> None:
    """One short request, so that the first one does not pay for compilation."""
    try:
        if GENERATES & resident.capabilities:
            await _generate(resident)
        elif Capability.EMBED in resident.capabilities:
            await resident.engine.embed(EmbeddingRequest(model=resident.info.id, inputs=["Hi"]))
    except EngineFailed:
        raise
    except LmxError as error:
        # A template that wants more than one message, say: the model may serve real requests all the same.
        log.warning("warm_up_failed", model=resident.info.id, reason=error.detail or error.message)


async def _generate(resident: Resident) -> None:
    chat = Capability.CHAT in resident.capabilities
    request = GenerationRequest(
        model=resident.info.id,
        messages=[Message(role="user", content="Hi")] if chat else None,
        prompts=() if chat else ("Hi",),
        max_tokens=2,
        sampling=Sampling(temperature=0.0),
        request_id=f"warm-up {resident.info.id}",
    )
    async with aclosing(resident.engine.generate(request)) as pieces:
        async for _ in pieces:
            continue

"""The breaker's own call of an engine: one token."""

from contextlib import aclosing

from attrs import evolve

from lmx_hookspecs import (
    Capability,
    Generation,
    GenerationRequest,
    Message,
    ModelState,
    ModelStatus,
    Outcome,
    Sampling,
    Services,
)
from lmx_hookspecs.errors import EngineFailed, LmxError, TimedOut

SURFACE = "probe"
PROMPT = "Hi"
TIMEOUT_S = 60.0


async def probe(services: Services, target: str) -> Outcome:
    """Whether the target can generate a token; CANCELLED where that is not for us to find out, or could not be.

    What is not loaded stays so, and what runs on another node is left to the next real call, of the kind that failed.
    """
    try:
        request = probe_of(await services.models.get(target))
        if request is None:
            return Outcome.CANCELLED
        generation = await services.generate(request)
    except EngineFailed:
        return Outcome.FAULT
    except LmxError:
        return Outcome.CANCELLED  # not the engine's doing: no place was free in time, or the model has gone
    return await _outcome_of(generation)


def probe_of(model: ModelStatus) -> GenerationRequest | None:
    """What to ask of the model; None where it is not to be asked."""
    request = GenerationRequest(
        model=model.info.id,
        max_tokens=1,
        sampling=Sampling(temperature=0.0),
        surface=SURFACE,
        priority="high",
        timeout_s=TIMEOUT_S,
        lenient=True,
        exact=True,
    )
    if model.state is not ModelState.READY or "node" in model.info.details:
        return None
    if Capability.CHAT in model.capabilities:
        return evolve(request, messages=[Message(role="user", content=PROMPT)])
    return evolve(request, prompts=[PROMPT]) if Capability.COMPLETION in model.capabilities else None


async def _outcome_of(generation: Generation) -> Outcome:
    """What the engine has made of it, which it had from here on."""
    try:
        async with aclosing(generation):
            async for _ in generation:
                pass
    except (EngineFailed, TimedOut):
        return Outcome.FAULT
    except LmxError:
        return Outcome.CANCELLED  # it is being unloaded
    return Outcome.OK

"""The breaker's own call of an engine: one token."""

from contextlib import aclosing

from attrs import evolve

from lmx_hookspecs import Capability, GenerationRequest, Message, ModelState, ModelStatus, Outcome, Sampling, Services
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
        return Outcome.CANCELLED if request is None else await _run(services, request)
    except (EngineFailed, TimedOut):
        return Outcome.FAULT
    except LmxError:
        return Outcome.CANCELLED  # it is busy, being unloaded, or gone: nothing that the engine did


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


async def _run(services: Services, request: GenerationRequest) -> Outcome:
    generation = await services.generate(request)
    async with aclosing(generation):
        async for _ in generation:
            pass
    return Outcome.OK

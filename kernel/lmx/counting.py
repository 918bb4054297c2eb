"""How many tokens a request's prompts have: on the way of a generation, without making one."""

import asyncio

from attrs import define

from lmx.admission import Call
from lmx.deadline import Deadline
from lmx.fitting import fit
from lmx.pipeline import TRY_ELSEWHERE, Pipeline
from lmx.preparing import prepared
from lmx.targets import Targets
from lmx.workers import Deadly
from lmx_hookspecs import GenerationRequest, TokenCount
from lmx_hookspecs.errors import InvalidRequest


@define
class Waits:
    """How long a count waited: nobody asks, since it is no generation."""

    queue_s: float = 0.0
    load_s: float = 0.0


async def count_tokens(pipeline: Pipeline, request: GenerationRequest) -> TokenCount:
    """By the first of the models asked for that can be reached; a fallback's count would be another."""
    request, _ = prepared(request, pipeline.router.presets, pipeline.canonicaliser)
    targets = Targets([*await pipeline.router.resolve(request.model)])
    deadline = Deadline.of(request.timeout_s, pipeline.timeout_s)
    while True:
        try:
            return await _count(pipeline, targets.take(), request, deadline)
        except (Deadly, InvalidRequest):
            raise  # another worker would die of it as well, and a request stays what it is
        except TRY_ELSEWHERE as error:
            targets.refusals.append(error)
            if not targets:
                raise targets.verdict() from error


async def _count(pipeline: Pipeline, target: str, request: GenerationRequest, deadline: Deadline) -> TokenCount:
    outlook = await pipeline.models.outlook(target)
    fitted = fit(request, outlook.capabilities, [])
    call = Call(deadline=deadline, weight=1, key=request.key, client=request.client, priority=request.priority)
    async with pipeline.admission.admitted(outlook, call, Waits()) as resident:
        fitted = fit(fitted, resident.capabilities, [])
        try:
            async with asyncio.timeout(deadline.left_s()):
                counted = await resident.engine.count_tokens(fitted)
        except TimeoutError as error:
            raise deadline.passed() from error
        return TokenCount(prompt_tokens=counted, model=target, served_by=resident.served_by)

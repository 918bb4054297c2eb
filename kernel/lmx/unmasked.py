"""JSON from engines that draw without masks: asked for in words, checked, and asked for once more where it is wrong."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from attrs import evolve, frozen

from lmx.workers import Pieces
from lmx.workers.constraints import constraint_of
from lmx.workers.piece_stream import merged
from lmx_hookspecs import Capability, Constraint, GenerationRequest, LmxError, Message, Piece, Usage
from lmx_hookspecs.constraints import FlawOf
from lmx_hookspecs.errors import InvalidRequest

FENCE = "```"
LONGEST_FLAW = 500
WRONG = "the model draws without masks: its answer was wrong"

Generate = Callable[[GenerationRequest], Pieces]
JudgeOf = Callable[[Constraint], FlawOf]
"""Raises InvalidRequest for a constraint that is none."""


@frozen
class Unmasked:
    """How one request gets its JSON from an engine without masks."""

    _asked: str
    _flaw_of: FlawOf

    def instructed(self, request: GenerationRequest) -> GenerationRequest:
        """The request in words. Nothing of its answer is given out before it is checked, so it is not streamed."""
        messages = [*(request.messages or ())]
        at = next((place for place, message in enumerate(messages) if message.role not in ("system", "developer")), 0)
        asking = Message(role="system", content=self._asked)
        return evolve(request, messages=[*messages[:at], asking, *messages[at:]], response_format=None, stream=False)

    async def answer(
        self, request: GenerationRequest, generate: Generate, warnings: list[str]
    ) -> AsyncGenerator[Piece, None]:
        """The checked answer, in one piece; what could not be mended stands in `warnings`."""
        asked = self.instructed(request)
        first = await _whole(generate(asked))
        flaw = await self._flaw(first)
        if flaw is None:
            warnings.append("the model draws without masks: it was asked for JSON in words, and its answer was checked")
            yield _bared(first)
            return
        told = [Message(role="assistant", content=first.text), Message(role="user", content=_complaint(flaw))]
        try:
            second = await _whole(generate(evolve(asked, messages=[*(asked.messages or ()), *told])))
        except LmxError as error:
            warnings.append(f"{WRONG}, and could not be asked for once more ({error.message}): {flaw[:LONGEST_FLAW]}")
            yield _bared(first)
            return
        flaw = await self._flaw(second)
        outcome = "and is still wrong: " + flaw[:LONGEST_FLAW] if flaw else "and is right now"
        warnings.append(f"{WRONG}, was asked for once more, {outcome}")
        usage, both = _sum(first.usage, second.usage), [*first.warnings, *second.warnings]
        yield evolve(_bared(second), usage=usage, warnings=both)

    async def _flaw(self, answer: Piece) -> str | None:
        """What is wrong with it; a call of a tool is as good as JSON. Checked off the event loop."""
        return None if answer.tool_calls else await asyncio.to_thread(self._flaw_of, _bare(answer.text))


async def unmasked_of(request: GenerationRequest, judges: Sequence[JudgeOf]) -> Unmasked:
    """For a request that can be asked in words; raises InvalidRequest for a schema that is none."""
    constraint = constraint_of(request)
    if constraint is None:
        raise InvalidRequest("response_format asks for nothing", param="response_format")
    return Unmasked(_instruction(constraint), await asyncio.to_thread(judges[0], constraint))


def in_words(request: GenerationRequest, judges: Sequence[JudgeOf]) -> bool:
    """Whether its JSON can be asked for in words: not for completions, nor for several choices."""
    return request.response_format is not None and request.messages is not None and request.n == 1 and bool(judges)


def with_words(capabilities: frozenset[str], request: GenerationRequest, judges: Sequence[JudgeOf]) -> frozenset[str]:
    """What a target can do, in words if need be."""
    return capabilities | {Capability.RESPONSE_FORMAT} if in_words(request, judges) else capabilities


def _instruction(constraint: Constraint) -> str:
    if constraint.kind == "json_object":
        return "Answer with one JSON object and nothing else: no explanation, no code fence."
    schema = json.dumps(constraint.source)
    return f"Answer with JSON that satisfies this schema, and nothing else: no explanation, no code fence.\n{schema}"


def _complaint(flaw: str) -> str:
    return f"That is not what was asked for: {flaw[:LONGEST_FLAW]}. Answer again, with the JSON alone."


def _bare(text: str) -> str:
    """Without the code fence that many models put around JSON."""
    stripped = text.strip()
    if not (stripped.startswith(FENCE) and stripped.endswith(FENCE) and len(stripped) > 2 * len(FENCE)):
        return stripped
    return stripped[len(FENCE) : -len(FENCE)].removeprefix("json").strip()


def _bared(answer: Piece) -> Piece:
    return answer if answer.tool_calls else evolve(answer, text=_bare(answer.text))


async def _whole(pieces: Pieces) -> Piece:
    """An answer of one choice as one piece; it comes merged, since nobody streams it."""
    async with aclosing(pieces):
        (whole,) = merged([piece async for piece in pieces])
    return whole


def _sum(first: Usage | None, second: Usage | None) -> Usage | None:
    """What both tries together took."""
    if first is None or second is None:
        return second or first
    return evolve(
        second,
        prompt_tokens=first.prompt_tokens + second.prompt_tokens,
        completion_tokens=first.completion_tokens + second.completion_tokens,
        cached_tokens=first.cached_tokens + second.cached_tokens,
        prefill_s=first.prefill_s,
        decode_s=first.decode_s + second.prefill_s + second.decode_s,
        counted=first.counted and second.counted,
    )

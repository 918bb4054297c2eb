"""JSON from engines that draw without masks: asked for in words, checked, and asked for once more where it is wrong."""

import json
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from attrs import evolve, frozen

from lmx.workers.constraints import constraint_of
from lmx_hookspecs import Capability, Constraint, GenerationRequest, Message, Piece, Usage
from lmx_hookspecs.constraints import FlawOf

FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*", re.DOTALL)
"""How many models wrap the JSON that they were asked for."""
LONGEST_FLAW = 500

Generate = Callable[[GenerationRequest], AsyncGenerator[Piece, None]]
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
        flaw = self._flaw_of(_bare(first.text))
        if flaw is None:
            warnings.append("the model draws without masks: it was asked for JSON in words, and its answer was checked")
            yield evolve(first, text=_bare(first.text))
            return
        told = [Message(role="assistant", content=first.text), Message(role="user", content=_complaint(flaw))]
        second = await _whole(generate(evolve(asked, messages=[*(asked.messages or ()), *told])))
        flaw = self._flaw_of(_bare(second.text))
        outcome = "and is still wrong: " + flaw[:LONGEST_FLAW] if flaw else "and is right now"
        warnings.append(f"the model draws without masks: its answer was wrong, was asked for once more, {outcome}")
        yield evolve(second, text=_bare(second.text), usage=_sum(first.usage, second.usage))


def unmasked_of(request: GenerationRequest, judges: Sequence[JudgeOf]) -> Unmasked | None:
    """None where nothing can be done in words: for completions, several choices, and all but JSON.

    Raises InvalidRequest for a schema that is none.
    """
    if request.response_format is None or request.messages is None or request.n > 1 or not judges:
        return None
    constraint = constraint_of(request)
    if constraint is None:
        return None
    return Unmasked(_instruction(constraint), judges[0](constraint))


def with_substitute(capabilities: frozenset[str], unmasked: Unmasked | None) -> frozenset[str]:
    """What a target can do, in words if need be."""
    return capabilities if unmasked is None else capabilities | {Capability.RESPONSE_FORMAT}


def _instruction(constraint: Constraint) -> str:
    if constraint.kind == "json_object":
        return "Answer with one JSON object and nothing else: no explanation, no code fence."
    schema = json.dumps(constraint.source)
    return f"Answer with JSON that satisfies this schema, and nothing else: no explanation, no code fence.\n{schema}"


def _complaint(flaw: str) -> str:
    return f"That is not what was asked for: {flaw[:LONGEST_FLAW]}. Answer again, with the JSON alone."


def _bare(text: str) -> str:
    fenced = FENCED.fullmatch(text)
    return (fenced.group(1) if fenced else text).strip()


async def _whole(pieces: AsyncGenerator[Piece, None]) -> Piece:
    """An answer of one choice as one piece; it comes merged, since nobody streams it."""
    text, reasoning, last = "", "", Piece()
    async with aclosing(pieces):
        async for piece in pieces:
            text, reasoning, last = text + piece.text, reasoning + piece.reasoning, piece
    return evolve(last, text=text, reasoning=reasoning)


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

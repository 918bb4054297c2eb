"""The text-level echo."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence

from attrs import frozen

from lmx_echo.config import EchoConfig, crash
from lmx_echo.vectors import DIMENSIONS, likeness, vector_of
from lmx_echo.words import conversations, words
from lmx_hookspecs import (
    EmbeddingRequest,
    Embeddings,
    EngineDescription,
    GenerationRequest,
    Piece,
    RankedDocument,
    Reranking,
    RerankRequest,
    Usage,
)
from lmx_hookspecs.errors import ContextLengthExceeded, InvalidRequest
from lmx_hookspecs.generation import FinishReason


@frozen
class Choice:
    """An answer, known before its first token is given."""

    index: int
    tokens: Sequence[str]
    finish_reason: FinishReason
    stop: str | None = None


@frozen
class EchoEngine:
    """A TextEngine that repeats what it was told, as its configuration says."""

    config: EchoConfig
    capabilities: frozenset[str]

    async def generate(self, request: GenerationRequest) -> AsyncIterator[Piece]:
        """The prompt's tokens, then a token of every choice a round, then the end of each, the last with `usage`."""
        began_s = time.monotonic()
        choices, prompt_tokens = self._plan(request)
        yield Piece(prompt_tokens=prompt_tokens)
        await asyncio.sleep(self.config.delay_ms / 1000)
        first_s = time.monotonic()
        for position in range(max(len(choice.tokens) for choice in choices)):
            await self._misbehave(position)
            for choice in choices:
                if position < len(choice.tokens):
                    yield Piece(index=choice.index, text=choice.tokens[position], tokens=1)
            next_s = first_s + (position + 1) * self.config.interval_s
            await asyncio.sleep(max(0.0, next_s - time.monotonic()))
        usage = Usage(
            prompt_tokens=prompt_tokens,
            completion_tokens=sum(len(choice.tokens) for choice in choices),
            prefill_s=first_s - began_s,
            decode_s=time.monotonic() - first_s,
        )
        for choice in choices:
            last = choice is choices[-1]
            yield Piece(
                index=choice.index,
                finish_reason=choice.finish_reason,
                stop=choice.stop,
                usage=usage if last else None,
            )

    async def count_tokens(self, request: GenerationRequest) -> int:
        """The words of all prompts."""
        return sum(prompt_tokens for _, prompt_tokens in conversations(request))

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Of the runs of words, after `delay_ms`."""
        if request.dimensions is not None and request.dimensions > DIMENSIONS:
            raise InvalidRequest(f"the echo's vectors have {DIMENSIONS} components; ask for fewer", param="dimensions")
        tokens = [self._input(text, "input") for text in request.inputs]
        await asyncio.sleep(self.config.delay_ms / 1000)
        await self._misbehave(0)
        vectors = [vector_of(one, request.dimensions or DIMENSIONS) for one in tokens]
        return Embeddings(vectors=vectors, prompt_tokens=sum(map(len, tokens)))

    async def rerank(self, request: RerankRequest) -> Reranking:
        """By the likeness of the vectors, after `delay_ms`."""
        query = self._input(request.query, "query")
        documents = [self._input(text, "documents") for text in request.documents]
        await asyncio.sleep(self.config.delay_ms / 1000)
        await self._misbehave(0)
        scores = [likeness(vector_of(query), vector_of(document)) for document in documents]
        ranked = sorted(map(RankedDocument, range(len(scores)), scores), key=lambda one: -one.score)
        return Reranking(results=ranked[: request.top_n], total_tokens=len(query) + sum(map(len, documents)))

    def describe(self) -> EngineDescription:
        """It holds nothing."""
        return EngineDescription(
            context_length=self.config.context_length, capabilities=self.capabilities, memory_bytes=0, max_rows=256
        )

    async def close(self) -> None:
        """It has nothing to give back."""

    def _plan(self, request: GenerationRequest) -> tuple[list[Choice], int]:
        choices = []
        prompts = conversations(request)
        for prompt_index, (text, prompt_tokens) in enumerate(prompts):
            room = room_for(request, prompt_tokens, self.config.context_length)
            reply, stop = until_stop(text if self.config.reply is None else self.config.reply, request.stop)
            tokens = words(reply)
            reason: FinishReason = "stop" if len(tokens) <= room else "length"
            stop = stop if reason == "stop" else None
            indices = range(prompt_index * request.n, (prompt_index + 1) * request.n)
            choices += [Choice(index, tokens[:room], reason, stop) for index in indices]
        return choices, sum(prompt_tokens for _, prompt_tokens in prompts)

    def _input(self, given: str | Sequence[int], param: str) -> list[bytes]:
        if not isinstance(given, str):
            raise InvalidRequest("this echo has no token ids; send text, or ask for 'echo-tokens'", param=param)
        tokens = [word.strip().encode() for word in words(given)]
        if not tokens:
            raise InvalidRequest(f"{param} has no tokens; send at least one", param=param)
        if len(tokens) > self.config.context_length:
            raise ContextLengthExceeded(
                f"{param} has {len(tokens)} tokens and the context {self.config.context_length}; shorten it",
                param=param,
            )
        return tokens

    async def _misbehave(self, pieces: int) -> None:
        if self.config.fail_after == pieces:
            raise RuntimeError("the echo was told to fail")
        if self.config.crash_after == pieces:
            crash()
        if self.config.hang_after == pieces:
            await asyncio.Event().wait()


def room_for(request: GenerationRequest, prompt_tokens: int, context_length: int) -> int:
    """How many tokens the answer may have; raises InvalidRequest where there is no sense in starting."""
    context = min(request.num_ctx or context_length, context_length)
    if prompt_tokens >= context:
        raise ContextLengthExceeded(
            f"the prompt has {prompt_tokens} tokens and the context {context}; shorten the prompt",
            param="prompt" if request.messages is None else "messages",
        )
    if "max_tokens" not in request.dispensable and request.max_tokens is not None and request.max_tokens > context:
        raise InvalidRequest(
            f"max_tokens is {request.max_tokens} and the context {context}; ask for less", param="max_tokens"
        )
    return min(request.max_tokens or context, context - prompt_tokens)


def until_stop(text: str, stops: Iterable[str]) -> tuple[str, str | None]:
    """The text before the stop string that comes first, and that string."""
    found = [(position, stop) for stop in stops if (position := text.find(stop)) >= 0]
    position, stop = min(found, default=(len(text), None))
    return text[:position], stop

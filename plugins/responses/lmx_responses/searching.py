"""A generation whose model may search files: rounds of answers and searches, seen from outside as one generation."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from time import monotonic
from typing import Any

from attrs import define, evolve, field, frozen

from lmx_hookspecs import Context, Generation, GenerationRequest, Message, Piece, Usage
from lmx_hookspecs.errors import InvalidRequest, NotFound, TimedOut, UnsupportedParameter
from lmx_hookspecs.ownership import collection_for
from lmx_responses.config import ResponsesConfig
from lmx_responses.file_search import FUNCTION, NAME, FileSearch, queries_of
from lmx_responses.finding import Finder
from lmx_responses.fitting import fitted
from lmx_responses.sources import Source, excerpts
from lmx_responses.tools import Toolbox
from lmx_responses.turn import HostedCall, Turn

ENOUGH = "No more searches may be made. Answer with what has been found."


@frozen
class SearchBegan:
    """Files are being searched."""

    queries: Sequence[str]


@frozen
class SearchEnded:
    """They have been."""

    sources: Sequence[Source]


Step = Piece | SearchBegan | SearchEnded


@define(eq=False, kw_only=True)
class Search:
    """A Generation that stands for several, with what was searched between them."""

    ctx: Context
    config: ResponsesConfig
    box: Toolbox
    finder: Finder
    request: GenerationRequest
    """Of the round that runs."""
    max_tokens: int | None
    """Of all rounds together."""
    calls_left: int
    rounds_left: int
    began: float
    """When, on `monotonic`: the time limit holds for all rounds and searches together."""
    _current: Generation | None = None
    _before: list[Step] = field(factory=list)
    _pieces: AsyncGenerator[Step, None] | None = None
    _usage: Usage | None = None
    _warnings: list[str] = field(factory=list)

    @property
    def model(self) -> str:
        """The model of the latest round."""
        return self._running.model

    @property
    def served_by(self) -> str:
        """What serves the latest round."""
        return self._running.served_by

    @property
    def prompt_tokens(self) -> int:
        """Of all rounds so far."""
        return (self._usage.prompt_tokens if self._usage else 0) + self._running.prompt_tokens

    @property
    def warnings(self) -> Sequence[str]:
        """Of all rounds."""
        return list(dict.fromkeys([*self._warnings, *self._running.warnings]))

    def __aiter__(self) -> AsyncIterator[Step]:
        return self

    async def __anext__(self) -> Step:
        if self._pieces is None:
            self._pieces = self._rounds()
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """End the round that runs."""
        if self._pieces is not None:
            await self._pieces.aclose()
        if self._current is not None:
            await self._current.aclose()

    async def open(self) -> None:
        """Begin the first round; raises what `Services.generate` and `RetrievalService.retrieve` raise."""
        if self.box.search_first or self.config.file_search_first:
            await self._open_searched()
            return
        try:
            await self._generate(offered=True)
        except UnsupportedParameter as error:
            if error.param != "tools" or self.box.tools:
                raise
            await self._open_searched()  # a model that calls no tools is given what it would have found

    @property
    def _running(self) -> Generation:
        if self._current is None:
            raise TypeError("a search has to be opened first")
        return self._current

    async def _open_searched(self) -> None:
        place, question = _question(self.request.messages or ())
        queries = queries_of("", question)
        sources = await self.finder.find(queries, self._time_left())
        self.rounds_left = 0

        def shown(kept: Sequence[Source]) -> GenerationRequest:
            messages = list(self.request.messages or ())
            messages[place] = evolve(messages[place], content=f"{excerpts(kept)}\n\n{question}")
            return self._without_search(evolve(self.request, messages=messages))

        self.request, kept = await fitted(self.ctx, shown, sources, self.config.file_search_tokens)
        self._before = [SearchBegan(queries), SearchEnded(kept)]
        await self._generate(offered=False)

    async def _rounds(self) -> AsyncGenerator[Step, None]:
        for step in self._before:
            yield step
        while True:
            turn = Turn(NAME)
            async for piece in self._running:
                for shown in turn.take(piece):
                    yield shown
            self._usage = _sum(self._usage, turn.usage)
            for call in turn.searches():
                async for step in self._searched(call, turn):
                    yield step
            if not turn.answered or turn.has_others:
                break
            await self._go_on()
        if turn.reason is not None:
            reason = "stop" if turn.reason == "tool_calls" and not turn.has_others else turn.reason
            yield Piece(finish_reason=reason, usage=self._usage)

    async def _searched(self, call: HostedCall, turn: Turn) -> AsyncIterator[Step]:
        """Answer one call, and let the request of the next round hold it."""
        if self.rounds_left <= 0:
            return
        if self.calls_left <= 0:
            self.request = self._holding(turn, call, [], ENOUGH)
            turn.answered += 1
            return
        self.calls_left -= 1
        queries = queries_of(call.arguments, _question(self.request.messages or ())[1])
        yield SearchBegan(queries)
        sources = await self.finder.find(queries, self._time_left())

        def shown(kept: Sequence[Source]) -> GenerationRequest:
            return self._holding(turn, call, queries, excerpts(kept))

        self.request, kept = await fitted(self.ctx, shown, sources, self.config.file_search_tokens)
        turn.answered += 1
        yield SearchEnded(kept)

    def _holding(self, turn: Turn, call: HostedCall, queries: Sequence[str], answer: str) -> GenerationRequest:
        """The next round, which sees the call and its answer; the text of the turn stands with the first call."""
        function = {"name": NAME, "arguments": json.dumps({"queries": list(queries)})}
        said = Message(
            role="assistant",
            content=turn.text if call.is_first else "",
            reasoning_content=(turn.reasoning or None) if call.is_first else None,
            tool_calls=({"id": call.id, "type": "function", "function": function},),
        )
        told = Message(role="tool", tool_call_id=call.id, content=answer)
        return evolve(self.request, messages=[*(self.request.messages or ()), said, told])

    async def _go_on(self) -> None:
        self.rounds_left -= 1
        self._warnings += self._running.warnings
        await self._running.aclose()
        limit = self.max_tokens
        if limit is not None and self._usage is not None:
            limit = max(1, limit - self._usage.completion_tokens)
        self.request = evolve(self.request, max_tokens=limit, tool_choice=None)
        await self._generate(offered=self.rounds_left > 0 and self.calls_left > 0)

    async def _generate(self, *, offered: bool) -> None:
        request = self.request if offered else self._without_search(self.request)
        if offered:
            request = evolve(request, tools=[*self.box.tools, FUNCTION])
        self._current = await self.ctx.services.generate(evolve(request, timeout_s=self._time_left()))

    def _without_search(self, request: GenerationRequest) -> GenerationRequest:
        if self.box.tools:
            return evolve(request, tools=self.box.tools)
        return evolve(request, tools=(), tool_choice=None, parallel_tool_calls=True)

    def _time_left(self) -> float | None:
        if self.request.timeout_s is None:
            return None
        left_s = self.request.timeout_s - (monotonic() - self.began)
        if left_s <= 0:
            raise TimedOut("the time limit has passed while files were searched for the answer; raise X-Timeout")
        return left_s


Answer = Generation | Search


async def generate_with_search(
    ctx: Context, config: ResponsesConfig, request: GenerationRequest, box: Toolbox, max_calls: int | None
) -> Answer:
    """As `Services.generate`; raises NotFound for vector stores that are not there, and what a retrieval raises."""
    if box.search is None:
        return await ctx.services.generate(request)
    await _check_stores(ctx, request.key, box.search)
    search = Search(
        ctx=ctx,
        config=config,
        box=box,
        finder=Finder(ctx, box.search, request),
        request=request,
        max_tokens=request.max_tokens,
        calls_left=config.file_search_rounds * 4 if max_calls is None else max_calls,
        rounds_left=config.file_search_rounds,
        began=monotonic(),
    )
    await search.open()
    return search


async def _check_stores(ctx: Context, key: str | None, tool: FileSearch) -> None:
    for store_id in tool.stores:
        try:
            await collection_for(ctx.services.retrieval.store, store_id, key)
        except NotFound as error:
            raise NotFound(
                f"there is no vector store {store_id!r}; it may have expired", param=f"{tool.place}.vector_store_ids"
            ) from error


def _question(messages: Sequence[Message]) -> tuple[int, str]:
    """The last thing that the user said, and where; raises InvalidRequest."""
    for place in range(len(messages) - 1, -1, -1):
        content = messages[place].content
        if messages[place].role == "user" and isinstance(content, str) and content.strip():
            return place, content
    raise InvalidRequest("file_search needs a message of the user to search for", param="input")


def _sum(first: Usage | None, second: Usage | None) -> Usage | None:
    if first is None or second is None:
        return second or first
    counts: Mapping[str, Any] = {
        name: getattr(first, name) + getattr(second, name)
        for name in ("prompt_tokens", "completion_tokens", "cached_tokens", "prefill_s", "decode_s")
    }
    reasoning = [one.reasoning_tokens for one in (first, second) if one.reasoning_tokens is not None]
    return evolve(
        second,
        **counts,
        reasoning_tokens=sum(reasoning) if reasoning else None,
        counted=first.counted and second.counted,
    )

"""A model that is played, over files that are found by their words."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from http_support import Step
from lmx_hookspecs import GenerationRequest, Piece, ToolCallDelta, Usage
from lmx_hookspecs.retrieval import Chunk, Document
from responses_support import BODY, make, responding
from vector_store_support import MemoryRetrieval, MemoryStore, RetrievingServices

PORT, LOADING = "LMX listens on port 1234.", "Models are loaded when they are asked for."
TOOL: dict[str, Any] = {"type": "file_search", "vector_store_ids": ["vs_docs"]}
FORCED: dict[str, Any] = {"tools": [TOOL], "tool_choice": {"type": "file_search"}}
ASKED: dict[str, Any] = {**BODY, "input": "which port", "tools": [TOOL]}
FUNCTION: dict[str, Any] = {"type": "function", "name": "f", "parameters": {"type": "object"}}
RESULTS = "file_search_call.results"
USAGE = Usage(prompt_tokens=5, completion_tokens=2, cached_tokens=1)


def library() -> MemoryRetrieval:
    chunks = [Chunk(index=place, text=text, tokens=10) for place, text in enumerate((PORT, LOADING))]
    guide = Document(id="file-guide", title="guide.txt", metadata={"year": 2024}, chunks=chunks)
    return MemoryRetrieval(store=MemoryStore(collections={"vs_docs": {"file-guide": guide}, "vs_empty": {}}))


def calls(*arguments: Any, name: str = "file_search", text: str = "") -> list[Step]:
    """A round that ends with calls."""
    deltas = [
        ToolCallDelta(index=place, id=f"call_{place}", name=name, arguments=json.dumps(one))
        for place, one in enumerate(arguments)
    ]
    first: list[Step] = [Piece(text=text)] if text else []
    return [*first, *(Piece(tool_calls=[delta]) for delta in deltas), Piece(finish_reason="tool_calls", usage=USAGE)]


def services(*rounds: Sequence[Step], **fields: Any) -> RetrievingServices:
    """A model that plays these rounds, one after the other."""
    left = list(rounds)

    def script(_: GenerationRequest) -> Iterable[Step]:
        return left.pop(0)

    return RetrievingServices(script=script, retrieval=library(), **fields)


async def answer_of(fake: RetrievingServices, config: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    async with responding(fake, config=config or {}) as server:
        response = await make(server, **{**ASKED, **fields})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def names_of(request: GenerationRequest) -> list[str]:
    return [tool["function"]["name"] for tool in request.tools]

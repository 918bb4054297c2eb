"""The item of a file search in an output."""

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import define

from lmx_responses.objects import IN_PROGRESS
from lmx_responses.outputs import Event
from lmx_responses.sources import Source

CALL = "response.file_search_call"


@define(eq=False)
class SearchItem:
    """A search by a model, or on its behalf."""

    id: str
    queries: Sequence[str]
    tells_results: bool
    """Whether the request has asked for them."""
    _sources: Sequence[Source] | None = None

    def plain(self, status: str) -> dict[str, Any]:
        """With what was found, once it is."""
        told = self._sources if self.tells_results and status != IN_PROGRESS else None
        return {
            "id": self.id,
            "type": "file_search_call",
            "status": status,
            "queries": list(self.queries),
            "results": None if told is None else [source.plain() for source in told],
        }

    def begin(self) -> Iterator[Event]:
        """It is under way."""
        yield f"{CALL}.in_progress", {}
        yield f"{CALL}.searching", {}

    def found(self, sources: Sequence[Source]) -> None:
        """What came of it."""
        self._sources = sources

    def end(self) -> Iterator[Event]:
        """It is over."""
        yield f"{CALL}.completed", {}

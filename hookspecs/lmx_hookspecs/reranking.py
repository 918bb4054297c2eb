"""Rerankers, which reorder what was found."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from attrs import field, frozen

from lmx_hookspecs.context import WorkerContext
from lmx_hookspecs.memory import MemoryNeed
from lmx_hookspecs.models import ModelInfo


class Reranker(Protocol):
    """Scores documents against a query. One thread loads it and makes every call."""

    def rerank(self, query: str, documents: Sequence[str]) -> Sequence[float]:
        """One relevance score per document, in their order; higher is better.

        The kernel hands over some documents of a request at a time, and compares the scores of all. An exception means
        that this request failed.
        """

    def close(self) -> None:
        """Release the model."""


@runtime_checkable
class BatchingReranker(Reranker, Protocol):
    """A Reranker that says how many documents it wants at a time."""

    @property
    def batch_size(self) -> int:
        """At most so many come in one call: between two calls a request can be cancelled, and others get their turn."""


@runtime_checkable
class CountingReranker(Reranker, Protocol):
    """A Reranker that knows how many tokens it reads."""

    def count_tokens(self, query: str, documents: Sequence[str]) -> int | None:
        """What the call of `rerank` with these arguments, the last one, has read; None where that is not known."""


@runtime_checkable
class DescribedReranker(Reranker, Protocol):
    """A Reranker that has something to tell of itself."""

    def describe(self) -> Mapping[str, Any]:
        """Plain facts for operators, such as the device; called from any thread.

        `device_bytes` is memory that it takes beside that of its process, on a device that shares the machine's.
        """


@frozen(kw_only=True)
class RerankerSpec:
    """A recipe for rerankers.

    The kernel makes a backend of it, so that its models are loaded when they are first asked for, in processes of their
    own, under the same memory budget, breaker and queue as all the others.
    """

    name: str
    """No backend may have it, either."""
    formats: frozenset[str]
    """Of the models that it can open, none of them one that engines open; a ModelSource tells the format of each."""
    load: Callable[[WorkerContext, ModelInfo], Reranker]
    """Raises EngineFailed for a model that cannot be opened, and Unavailable (`no_engine`) where something has to be
    installed first, saying how."""
    isolation: Literal["process", "inline"] = "process"
    environment: Callable[[], Mapping[str, str]] = field(default=dict)
    """As that of a BackendSpec, and so is `memory_need`."""
    memory_need: Callable[[ModelInfo], MemoryNeed] | None = None

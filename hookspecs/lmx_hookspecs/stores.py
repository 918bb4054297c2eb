"""Recipes for stores; what a store does is in `retrieval.py`, which nobody needs who only lists the plugins."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen

from lmx_hookspecs.context import WorkerContext

if TYPE_CHECKING:
    from lmx_hookspecs.retrieval import Retriever


@frozen(kw_only=True)
class StoreSettings:
    """Where a store keeps its data, and how safely."""

    directory: Path
    """Its own; it may have to make it."""
    durable: bool = True
    """What was acknowledged outlives a power failure; otherwise only the end of the process. `rag.auto_persist`."""


@frozen(kw_only=True)
class RetrieverSpec:
    """A recipe for a store; `rag.store` chooses it by its name.

    `open` runs on the event loop that the store's methods will run on, and returns soon: what takes long (indexes to
    build) goes on while the store serves.
    """

    name: str
    open: Callable[[WorkerContext, StoreSettings], "Retriever"]
    isolation: Literal["process", "inline"] = "process"
    environment: Callable[[], Mapping[str, str]] = field(default=dict)
    """Adds to the environment of its process; called in the kernel, so it must not import what the store needs."""

"""A collection that is in use: what is known of it without asking the database, and its legs."""

from asyncio import Lock, Task
from collections.abc import Mapping

from attrs import define, field

from lmx_hookspecs.errors import Conflict, InvalidRequest, UnsupportedParameter
from lmx_hookspecs.retrieval import CollectionSettings, Search
from lmx_hybrid.fusion import KEYWORD, VECTOR
from lmx_hybrid.legs import Leg
from lmx_hybrid.positions import Position
from lmx_hybrid.text_leg import TextLeg
from lmx_hybrid.values import check_vectors
from lmx_hybrid.vector_leg import VectorLeg


@define(eq=False)
class Live:
    """One collection; `committed` is where its legs must stand to have seen all that was acknowledged."""

    id: int
    name: str
    embedding_model: str
    dimensions: int
    vector: VectorLeg
    keyword: TextLeg | None
    committed: Position = field(factory=Position)
    turns: Mapping[str, Lock] = field(factory=lambda: {VECTOR: Lock(), KEYWORD: Lock()})
    """Of the searches that wait for a leg."""
    following: Task[None] | None = None
    """Lets what was ingested be found soon, without a search having to wait for it."""
    dropped: bool = False
    """Nobody finds it any more; its files go next."""
    revision: int = 0
    """Counts changes of metadata, which no index sees."""
    pruned: int = 0
    """Deletions up to here are no longer noted."""

    @property
    def version(self) -> tuple[Position, int]:
        """Another one after each change; what was read under one may be of a later one."""
        return self.committed, self.revision

    @property
    def touched(self) -> bool:
        """Whether anything has been read or changed since the start."""
        return any(leg.position != Position() for leg in self.legs.values())

    @property
    def followed(self) -> bool:
        """Whether all that is committed can be found."""
        return all(leg.position.reaches(self.committed) for leg in self.legs.values())

    @property
    def legs(self) -> Mapping[str, Leg]:
        """Those that it has."""
        return {VECTOR: self.vector} if self.keyword is None else {VECTOR: self.vector, KEYWORD: self.keyword}

    def drop(self) -> None:
        """Delete its indexes."""
        for leg in self.legs.values():
            leg.drop()

    def legs_of(self, search: Search) -> Mapping[str, Leg]:
        """Those that a search needs; raises InvalidRequest for one that this collection cannot answer."""
        names = {"vector": (VECTOR,), "keyword": (KEYWORD,), "hybrid": (VECTOR, KEYWORD)}.get(search.mode)
        if names is None:
            raise InvalidRequest(f"there is no search mode {search.mode!r}", param="search_mode")
        if search.top_k < 1:
            raise InvalidRequest("`top_k` is at least 1", param="top_k")
        if search.fusion.method not in ("rrf", "weighted_sum"):
            raise InvalidRequest(f"there is no fusion {search.fusion.method!r}", param="fusion")
        if KEYWORD in names and self.keyword is None:
            raise UnsupportedParameter(
                f"words are not indexed here, which the mode {search.mode} needs; set plugins.hybrid.keyword_index, or "
                f"search by vector",
                param="search_mode",
            )
        if VECTOR in names:
            check_vectors([search.embedding], self.dimensions)
        return {name: self.legs[name] for name in names}


def check_same(live: Live, settings: CollectionSettings) -> None:
    """Raises Conflict (`embedding_model_mismatch`) and InvalidRequest (`dimension_mismatch`)."""
    if live.embedding_model != settings.embedding_model:
        raise Conflict(
            f"the collection {live.name!r} holds vectors of {live.embedding_model}, not of {settings.embedding_model}; "
            f"embed with its model, or ingest into another collection",
            code="embedding_model_mismatch",
            param="model",
        )
    if live.dimensions != settings.dimensions:
        raise InvalidRequest(
            f"the collection {live.name!r} has {live.dimensions} dimensions, not {settings.dimensions}",
            code="dimension_mismatch",
            param="dimensions",
        )

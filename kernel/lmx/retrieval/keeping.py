"""Leaves out of what was found the documents that their collection no longer has."""

from collections.abc import Mapping, Sequence

from attrs import evolve

from lmx_hookspecs.retrieval import SearchResult
from lmx_hookspecs.retrieving import Keeper


async def kept_results(keepers: Sequence[Keeper], results: Mapping[str, SearchResult]) -> Mapping[str, SearchResult]:
    """The hits whose documents the keeper of their collection vouches for, and all of a collection without one."""
    return {name: await _kept(keepers, name, result) for name, result in results.items()}


async def _kept(keepers: Sequence[Keeper], collection: str, result: SearchResult) -> SearchResult:
    for keeper in keepers:
        documents = list(dict.fromkeys(hit.document_id for hit in result.hits))
        kept = await keeper(collection, documents) if documents else None
        if kept is not None:
            result = evolve(result, hits=[hit for hit in result.hits if hit.document_id in kept])
    return result

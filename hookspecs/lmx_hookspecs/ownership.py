"""What belongs to one API key does not exist for the others."""

from lmx_hookspecs.errors import Conflict, NotFound
from lmx_hookspecs.retrieval import CollectionInfo, Retriever


def owner_of(key: str | None) -> str:
    """For whom a request speaks: its API key, or whoever needs none."""
    return key or ""


def is_visible(info: CollectionInfo, key: str | None) -> bool:
    """Whether a request with that key may know of a collection."""
    return info.owner is None or info.owner == owner_of(key)


async def collection_for(store: Retriever, name: str, key: str | None) -> CollectionInfo:
    """A collection that a request with that key may use; raises NotFound for those of others too."""
    info = await store.collection(name)
    if not is_visible(info, key):
        raise unknown_collection(name)
    return info


def unknown_collection(name: str) -> NotFound:
    """What stores and services say of one that is not there."""
    return NotFound(
        f"there is no collection {name!r}; GET /v1/rag/collections lists what there is",
        code="collection_not_found",
        param="collection",
    )


def changed_collection(name: str) -> Conflict:
    """What stores say of one that is no longer what documents were made for."""
    return Conflict(
        f"the collection {name!r} was deleted or made anew while these documents were on their way, and none of them "
        "was stored; send them again if it shall hold them",
        code="collection_changed",
        param="collection",
    )

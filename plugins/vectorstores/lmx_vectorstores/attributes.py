"""Attributes of files that are in a store already."""

from collections.abc import Mapping
from typing import Any

from lmx_hookspecs.retrieval import Retriever


async def change_attributes(
    store: Retriever, place: tuple[str, str], before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    """Replace them in the document's metadata, and leave there what its reader has found in the file."""
    stored = await store.document(*place)
    of_reader = {key: value for key, value in stored.info.metadata.items() if key not in before}
    await store.update_metadata(*place, {**of_reader, **after})

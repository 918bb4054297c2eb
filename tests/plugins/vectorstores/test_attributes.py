"""Attributes that change: the store's metadata follows, at once or later."""

import asyncio
from typing import Any

import pytest
from openai import APIStatusError

from http_support import until
from lmx_hookspecs.errors import Unavailable
from vector_store_support import GUIDE, Keeping, MemoryRetrieval, RetrievingServices, filled, keeping, uploaded

STARTING = Unavailable("the store is starting")


def metadata_of(kept: Keeping, store_id: str, file_id: str) -> Any:
    return kept.retrieval.store.collections[store_id][file_id].metadata


async def test_what_the_store_cannot_change_now_is_told_and_changed_later() -> None:
    async with keeping() as kept:
        store_id, (file_id,) = await filled(kept, GUIDE)
        update = kept.client.vector_stores.files.update
        await update(file_id, vector_store_id=store_id, attributes={"a": 1})
        kept.retrieval.store.trouble = STARTING
        for name in "bc":
            with pytest.raises(APIStatusError, match="starting"):
                await update(file_id, vector_store_id=store_id, attributes={name: 2})
        before = metadata_of(kept, store_id, file_id)
        await kept.desk.sweep()

        kept.retrieval.store.trouble = None
        await kept.desk.sweep()

        assert before == {"pages": 1, "a": 1}
        assert metadata_of(kept, store_id, file_id) == {"pages": 1, "c": 2}
        assert len(kept.server.log.named("attributes_not_changed")) == 1


async def test_what_changes_while_a_file_is_taken_in_is_changed_later_too() -> None:
    services = RetrievingServices(retrieval=MemoryRetrieval(gate=asyncio.Event()))
    async with keeping(services) as kept:
        store = await kept.client.vector_stores.create()
        (file_id,) = await uploaded(kept, GUIDE)
        files = kept.client.vector_stores.files
        await files.create(store.id, file_id=file_id, attributes={"n": 1})
        await until(lambda: len(kept.retrieval.ingests) == 1)
        await files.update(file_id, vector_store_id=store.id, attributes={"m": 2})
        kept.retrieval.store.trouble = STARTING
        assert services.retrieval.gate is not None
        services.retrieval.gate.set()
        await until(lambda: bool(kept.server.log.named("attributes_not_changed")))

        kept.retrieval.store.trouble = None
        await kept.desk.sweep()

        assert metadata_of(kept, store.id, file_id) == {"pages": 1, "m": 2}


async def test_of_many_changes_at_once_the_one_that_is_shown_is_in_the_store() -> None:
    async with keeping() as kept:
        store_id, (file_id,) = await filled(kept, GUIDE)
        files = kept.client.vector_stores.files

        await asyncio.gather(
            *(files.update(file_id, vector_store_id=store_id, attributes={f"n{n}": n}) for n in range(20))
        )

        shown = await files.retrieve(file_id, vector_store_id=store_id)
        assert metadata_of(kept, store_id, file_id) == {"pages": 1, **(shown.attributes or {})}


async def test_attributes_of_a_document_that_is_gone_are_changed_all_the_same() -> None:
    async with keeping() as kept:
        store_id, (file_id,) = await filled(kept, GUIDE)
        await kept.retrieval.store.drop(store_id)

        changed = await kept.client.vector_stores.files.update(file_id, vector_store_id=store_id, attributes={"n": 1})

        assert changed.attributes == {"n": 1}

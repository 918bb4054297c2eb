"""Vector stores that end by themselves, or cannot be made."""

from typing import Any

import pytest
from openai import APIStatusError, BadRequestError

from http_support import until
from lmx_hookspecs.errors import Unavailable
from lmx_vectorstores.stores_table import delete_store
from vector_store_support import RetrievingServices, filled, keeping, unused_for


async def test_the_number_of_stores_is_bounded() -> None:
    async with keeping(max_vector_stores=1) as kept:
        await kept.client.vector_stores.create()
        with pytest.raises(APIStatusError) as refused:
            await kept.client.vector_stores.create()

        assert refused.value.status_code == 507
        assert len(kept.retrieval.store.collections) == 1


async def test_without_an_embedding_model_there_is_no_store() -> None:
    class Mute(RetrievingServices):
        async def embed(self, _: Any) -> Any:
            raise Unavailable("no model embeds", code="embedding_unavailable")

    async with keeping(Mute()) as kept:
        with pytest.raises(APIStatusError) as refused:
            await kept.client.vector_stores.create()

        assert refused.value.status_code == 503
        assert (await kept.client.vector_stores.list()).data == []


async def test_a_store_expires_after_days_without_use_and_its_files_stay() -> None:
    async with keeping() as kept:
        store_id, ids = await filled(kept, expires_after=unused_for(1))
        started, stores = kept.desk.now(), kept.client.vector_stores
        kept.desk.now = lambda: started + 86_000
        await stores.search(store_id, query="port")
        kept.desk.now = lambda: started + 2 * 86_000
        in_use = await stores.retrieve(store_id)

        kept.desk.now = lambda: started + 3 * 86_400
        expired = await stores.retrieve(store_id)
        await kept.desk.sweep()
        swept = await stores.retrieve(store_id)

        assert (in_use.status, expired.status, swept.status) == ("completed", "expired", "expired")
        assert swept.file_counts.total == 0
        assert store_id not in kept.retrieval.store.collections
        assert len((await kept.client.files.list()).data) == len(ids)
        with pytest.raises(BadRequestError, match="expired"):
            await stores.search(store_id, query="port")
        with pytest.raises(BadRequestError, match="expired"):
            await stores.files.create(store_id, file_id=ids[0])


async def test_a_search_by_a_response_counts_as_use() -> None:
    async with keeping() as kept:
        store = await kept.client.vector_stores.create(expires_after=unused_for(1))
        kept.desk.now = lambda: store.created_at + 80_000

        kept.services.events.publish("file_search", {"collections": [store.id, "other"]})
        await until(lambda: not kept.desk._touches)
        touched = await kept.client.vector_stores.retrieve(store.id)

    assert touched.last_active_at == store.created_at + 80_000


async def test_a_sweep_that_meets_a_bug_is_logged_and_made_again() -> None:
    async with keeping(sweep_s=0.01) as kept:
        store_id, _ = await filled(kept)
        store, log = kept.retrieval.store, kept.server.log
        store.trouble = RuntimeError("a bug in the store")

        await kept.desk.ledger.ask(delete_store, store_id)
        await until(lambda: bool(log.named("sweep_failed")))
        held = store_id in store.collections
        store.trouble = None

        await until(lambda: store_id not in store.collections)
        assert held
        assert isinstance(log.named("sweep_failed")[0]["exc_info"], RuntimeError)

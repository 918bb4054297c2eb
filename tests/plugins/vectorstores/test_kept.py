"""What vector stores say of their collections to others that search these."""

import pytest

from lmx_hookspecs.errors import Unavailable
from vector_store_support import FRUIT, GUIDE, filled, keeping, unused_for, uploaded

STRANGER = "not-of-the-store"


@pytest.mark.parametrize("trouble", [None, Unavailable("the store is starting")])
async def test_a_store_has_its_files_and_no_others(trouble: Exception | None) -> None:
    async with keeping() as kept:
        store_id, (guide, fruit) = await filled(kept, GUIDE, FRUIT)
        (keeper,) = kept.retrieval.keepers
        before = await keeper(store_id, [guide, fruit, STRANGER])
        kept.retrieval.store.trouble = trouble

        await kept.client.vector_stores.files.delete(guide, vector_store_id=store_id)

        assert before == {guide, fruit}
        assert await keeper(store_id, [guide, fruit]) == {fruit}


async def test_a_deleted_store_has_nothing_even_while_its_collection_is_there() -> None:
    async with keeping() as kept:
        store_id, (guide,) = await filled(kept, GUIDE)
        (keeper,) = kept.retrieval.keepers
        kept.retrieval.store.trouble = Unavailable("the store is starting")

        await kept.client.vector_stores.delete(store_id)

        assert kept.retrieval.store.collections[store_id]
        assert await keeper(store_id, [guide]) == set()


async def test_an_expired_store_has_nothing() -> None:
    async with keeping() as kept:
        store_id, (guide,) = await filled(kept, GUIDE, expires_after=unused_for(1))
        (keeper,) = kept.retrieval.keepers
        began = kept.desk.now()

        kept.desk.now = lambda: began + 2 * 86_400

        assert await keeper(store_id, [guide]) == set()


async def test_a_file_whose_batch_was_cancelled_is_none_of_the_stores() -> None:
    async with keeping() as kept:
        store = await kept.client.vector_stores.create()
        (guide,) = await uploaded(kept, GUIDE)
        (keeper,) = kept.retrieval.keepers
        kept.desk.ingestor.lay_down()
        batch = await kept.client.vector_stores.file_batches.create(store.id, file_ids=[guide])

        await kept.client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store.id)

        assert await keeper(store.id, [guide]) == set()


@pytest.mark.parametrize("name", ["handbook", "vs_handbook"])
async def test_nothing_is_said_of_collections_that_are_no_vector_stores(name: str) -> None:
    async with keeping() as kept:
        (keeper,) = kept.retrieval.keepers
        before = await keeper(name, ["d"])
        await kept.client.vector_stores.create()

        assert (before, await keeper(name, ["d"])) == (None, None)

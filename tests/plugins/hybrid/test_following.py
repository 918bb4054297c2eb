"""Searches wait for their own collection, and for nobody else's work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event

import pytest

from lmx_hookspecs.retrieval import Search
from lmx_hybrid.store import HybridStore
from store_support import SETTINGS, document, opened, places, random_vector

pytest.importorskip("tantivy")

LONG_S = 20.0
"""A search that has not answered by then waits for what only ends after it."""


@asynccontextmanager
async def two_collections(directory: Path) -> AsyncIterator[HybridStore]:
    async with opened(directory, commit_interval_sec=3600.0) as store:
        for name in ("a", "b"):
            await store.ingest(name, SETTINGS, [document("old", "kiwi")])
            await found(store, name)
        yield store


async def found(store: HybridStore, collection: str) -> set[str]:
    search = Search(text="kiwi", embedding=random_vector(0))
    async with asyncio.timeout(LONG_S):
        return {document for document, _ in places(await store.search(collection, search))}


async def as_far_as_they_come() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_search_does_not_wait_for_what_goes_on_in_the_background_for_another_collection(tmp_path: Path) -> None:
    async with two_collections(tmp_path) as store:
        busy = Event()
        store.indexers.submit(busy.wait)  # as it is while a large graph is saved
        await store.ingest("b", SETTINGS, [document("new", "kiwi")])
        settling = asyncio.ensure_future(store.follower._settle(store.live["b"]))
        await as_far_as_they_come()

        try:
            assert await found(store, "b") == {"old", "new"}
            assert not settling.done()
        finally:
            busy.set()
        await settling


async def test_searches_that_wait_for_their_collection_leave_a_thread_to_another_one(tmp_path: Path) -> None:
    async with two_collections(tmp_path) as store:
        held, busy = Event(), Event()
        leg = store.live["a"].vector

        def save() -> None:
            with leg._turn:
                held.set()
                busy.wait()

        store.indexers.submit(save)
        await asyncio.to_thread(held.wait)
        for name in ("a", "b"):
            await store.ingest(name, SETTINGS, [document("new", "kiwi")])
        waiting = [asyncio.ensure_future(found(store, "a")) for _ in range(5)]
        await as_far_as_they_come()

        try:
            assert await found(store, "b") == {"old", "new"}
            assert not any(one.done() for one in waiting)
        finally:
            busy.set()
        assert await asyncio.gather(*waiting) == [{"old", "new"}] * 5

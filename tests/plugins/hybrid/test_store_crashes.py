"""A store's process is killed while it ingests: `pytest -m slow`, and LMX_SLOW_COUNT for how often."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from attrs import define, field

from lmx_hookspecs.errors import NotFound
from lmx_hookspecs.retrieval import Search
from lmx_hybrid.store import HybridStore
from store_support import NAME, SETTINGS, opened, places, random_vector

pytest.importorskip("tantivy")

CHILD = Path(__file__).parents[2] / "store_crash_child.py"
KILLS = int(os.environ.get("LMX_SLOW_COUNT", "30"))
ALL = 1000


@define
class Ledger:
    """What a child has acknowledged, by document; and what may or may not have happened after that."""

    known: dict[str, str] = field(factory=dict)
    maybe: dict[str, set[str]] = field(factory=dict)

    def read(self, lines: list[str]) -> None:
        for what, name, version in (line.split() for line in lines):
            if what in ("storing", "deleting"):
                self.maybe[name] = {version, self.known.get(name, "-")}
            else:
                self.known[name] = version
                self.maybe.pop(name, None)

    def settle(self, found: Mapping[str, str]) -> None:
        """Compare, and go on from what is there."""
        for name in {*self.known, *self.maybe, *found}:
            here = found.get(name, "-")
            assert here in self.maybe.get(name, {self.known.get(name, "-")}), f"{name} is {here}"
            self.known[name] = here
        self.maybe.clear()


def killed_while_ingesting(directory: Path, kind: str, seed: int) -> list[str]:
    """Whole lines that a child has written until it was killed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHILD.parent), *sys.path])}
    command = [sys.executable, str(CHILD), str(directory), kind, str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(random.Random(seed).uniform(0.2, 1.0))  # the moment of a crash is any
        child.kill()
        rest = child.stdout.read()
    return rest[: rest.rfind("\n") + 1].splitlines()


async def look_through(store: HybridStore) -> Mapping[str, str]:
    """Each document's version; all of each is there, and both indexes find all of it and nothing else."""
    try:
        page = await store.documents(NAME, limit=ALL)
    except NotFound:
        return {}
    wanted = set()
    for info in page.documents:
        stored = await store.document(NAME, info.id)
        number = info.content_hash.replace("-", "x")
        assert [chunk.text for chunk in stored.chunks] == [f"word{number} part {i}" for i in range(info.chunks)]
        wanted |= {(info.id, chunk.index) for chunk in stored.chunks}
    vectors = await store.search(NAME, Search(embedding=random_vector(1), mode="vector", top_k=ALL))
    words = await store.search(NAME, Search(text="part", mode="keyword", top_k=ALL))
    assert set(places(vectors)) == wanted
    assert set(places(words)) == wanted
    assert vectors.total_in_collection == len(wanted) == len(vectors.hits) == len(words.hits)
    return {info.id: info.content_hash for info in page.documents}


async def kill_again_and_again(directory: Path, kind: str, times: int) -> None:
    ledger = Ledger()
    acknowledged = 0
    for seed in range(times):
        lines = killed_while_ingesting(directory, kind, seed)
        acknowledged += sum(line.startswith(("stored", "deleted")) for line in lines)
        ledger.read(lines)
        async with opened(directory, vector_index=kind) as store:
            ledger.settle(await look_through(store))
    assert acknowledged > times


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
async def test_a_killed_store_has_all_that_it_acknowledged_and_nothing_half(tmp_path: Path, kind: str) -> None:
    pytest.importorskip({"hnsw": "hnswlib"}.get(kind, "faiss"))
    async with opened(tmp_path) as store:
        await store.create(NAME, SETTINGS)

    await kill_again_and_again(tmp_path, kind, times=3)


@pytest.mark.slow
@pytest.mark.timeout(60 * KILLS)
async def test_a_store_that_is_killed_many_times_loses_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.create(NAME, SETTINGS)

    await kill_again_and_again(tmp_path, "auto", times=KILLS)

"""Rankings of many queries, and how many are asked at once."""

from collections.abc import Mapping
from threading import Barrier, BrokenBarrierError, Lock
from typing import Any

import pytest
from attrs import define, field

from lmx_rag.commands.rankings import Asker

QUERIES = {str(number): f"query {number}" for number in range(6)}


@define
class Counting:
    """A server that notes how many requests it has at once; two of them meet, where two come."""

    most: int = 0
    now: int = 0
    lock: Any = field(factory=Lock)
    two: Barrier = field(factory=lambda: Barrier(2, timeout=0.2))

    def post(self, _path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            self.two.wait()
        except BrokenBarrierError:
            self.two.reset()
        with self.lock:
            self.now -= 1
        return {"results": [{"document_id": body["query"]}]}


@pytest.mark.parametrize(("mode", "at_once"), [("hybrid", 2), ("hybrid+rerank", 1)])
def test_a_reranker_gets_one_query_at_a_time(mode: str, at_once: int) -> None:
    server: Any = Counting()

    rankings = Asker(server=server, collection="c", mode=mode).rankings(QUERIES, jobs=2)

    assert rankings == {number: [text] for number, text in QUERIES.items()}
    assert server.most == at_once

"""Retrieval whose vectors come from a helper node."""

from pathlib import Path

import pytest

from helper_node import helper_node
from rag_requests import COLLECTIONS, answered, asked, ingested, refused
from serving import served

pytest.importorskip("tantivy")


def test_a_helper_node_embeds_before_the_local_model_does(tmp_path: Path) -> None:
    with helper_node() as helper:
        config = {"helper_nodes": {"embedding": {"url": helper.url, "model": "nomic", "fallback": "skip"}}}
        with served(tmp_path, config) as server, server.client() as client:
            ingested(client, "helped", ["Otters hold hands."])
            collection = answered(client.get(f"{COLLECTIONS}/helped"))
            before = helper.asked.count("/v1/embeddings")
            found = asked(client, "helped", "otters", search_mode="vector")
            after = helper.asked.count("/v1/embeddings")
            helper.status = 500
            failed = client.post("/v1/rag/query", json={"collection": "helped", "query": "otters"})

    assert collection["embedding_dimensions"] == 2
    assert after == before + 1 > 1
    assert found["results"][0]["legs"]["vector"] == pytest.approx(1)
    assert (failed.status_code, failed.json()["error"]["code"]) == (502, "helper_node_unavailable")


def test_vectors_of_the_local_model_are_never_taken_for_those_of_a_helper_that_fails(tmp_path: Path) -> None:
    with helper_node() as helper:
        config = {"helper_nodes": {"embedding": {"url": helper.url, "model": "nomic", "fallback": "local"}}}
        with served(tmp_path, config) as server, server.client() as client:
            ingested(client, "helped", ["Otters hold hands."])
            helper.status = 500
            query = {"collection": "helped", "query": "otters", "search_mode": "vector"}
            searched = client.post("/v1/rag/query", json=query)
            stored = client.post("/v1/rag/ingest", json={"collection": "helped", "documents": ["Bees dance."]})
            words = asked(client, "helped", "otters", search_mode="keyword")

    assert refused(searched) == refused(stored) == (404, "model_not_found")
    assert words["results"][0]["text"] == "Otters hold hands."

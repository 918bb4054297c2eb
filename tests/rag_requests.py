"""Asks `/v1/rag` of a server, and looks at what it answers."""

from collections.abc import Sequence
from typing import Any

import httpx

URL = "/v1/rag"
COLLECTIONS = f"{URL}/collections"
FACTS = (
    "Paris is the capital of France and lies on the Seine.",
    "The Great Barrier Reef lies off the coast of Queensland.",
    "Photosynthesis turns light, water and carbon dioxide into sugar.",
    "東京は日本の首都です。人口は約千四百万人です。",
)


def answered(response: httpx.Response, status: int = 200) -> Any:
    assert response.status_code == status, response.text
    return response.json()


def ingested(client: httpx.Client, name: str, documents: Sequence[str], **fields: Any) -> Any:
    body = {"collection": name, "documents": list(documents), **fields}
    return answered(client.post(f"{URL}/ingest", json=body))


def asked(client: httpx.Client, name: str, query: str, **fields: Any) -> Any:
    return answered(client.post(f"{URL}/query", json={"collection": name, "query": query, **fields}))


def texts(answer: Any) -> list[str]:
    return [result["text"] for result in answer["results"]]


def refused(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]

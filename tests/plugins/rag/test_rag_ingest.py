import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from http_support import error_of
from lmx_hookspecs.ingestion import Chunking, IngestRequest
from rag_support import URL, rag_services, ragging

INGEST, UPLOAD = f"{URL}/ingest", f"{URL}/documents"


async def test_texts_reach_the_service_with_everything_that_was_said_of_them(tmp_path: Path) -> None:
    body = {
        "collection": "c",
        "documents": ["one", "two", "three"],
        "metadata": [{"a": 1}],
        "titles": ["First"],
        "document_ids": ["x/1", "x/2", "x/3"],
        "chunking": "text",
        "chunk_size": 128,
        "chunk_overlap": 0,
        "model": "embedder",
        "skip_unchanged": True,
    }

    async with ragging(uploads=tmp_path) as (server, retrieval):
        answer = await server.ask("POST", INGEST, json=body, headers={"X-Client-ID": "me", "X-Priority": "low"})

    asked: IngestRequest = retrieval.asked[0]
    assert [(one.id, one.text, one.title, one.metadata) for one in asked.documents] == [
        ("x/1", "one", "First", {"a": 1}),
        ("x/2", "two", "", {}),
        ("x/3", "three", "", {}),
    ]
    assert asked.chunking == Chunking(strategy="text", size=128, overlap=0)
    assert (asked.model, asked.skip_unchanged, asked.client, asked.priority) == ("embedder", True, "me", "low")
    plain = answer.json()
    assert plain.pop("duration_ms") >= 0
    assert plain.pop("documents")[0] == {"id": "x/1", "title": "First", "chunks": 2, "tokens": 5, "unchanged": False}
    assert plain == {
        "collection": "c",
        "documents_ingested": 3,
        "documents_unchanged": 0,
        "chunks_created": 6,
        "document_ids": ["x/1", "x/2", "x/3"],
        "embedding_model": "m",
        "embedding_dimensions": 2,
    }


async def test_documents_without_ids_remember_their_place_in_the_request() -> None:
    async with ragging() as (server, retrieval):
        await server.ask(
            "POST", INGEST, json={"collection": "c", "documents": ["a", "b"], "metadata": [{"doc_index": "mine"}]}
        )

    assert [dict(one.metadata) for one in retrieval.asked[0].documents] == [{"doc_index": "mine"}, {"doc_index": 1}]
    assert retrieval.asked[0].chunking == Chunking()


async def test_what_has_not_changed_is_counted_apart() -> None:
    body = {"collection": "c", "documents": ["a"], "document_ids": ["x"], "skip_unchanged": True}

    async with ragging() as (server, _):
        await server.ask("POST", INGEST, json=body)
        answer = (await server.ask("POST", INGEST, json={**body, "documents": ["a"]})).json()

    assert (answer["documents_ingested"], answer["documents_unchanged"], answer["chunks_created"]) == (0, 1, 0)
    assert answer["document_ids"] == ["x"]


BAD: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "no collection": ({"collection": ""}, "collection"),
    "a name of 65 characters": ({"collection": "x" * 65}, "collection"),
    "a name with a slash": ({"collection": "a/b"}, "collection"),
    "a name that is a path": ({"collection": ".."}, "collection"),
    "a name with a line break": ({"collection": "a\nb"}, "collection"),
    "no documents": ({"documents": []}, "documents"),
    "a document that is no text": ({"documents": [1]}, "documents[0]"),
    "more metadata than documents": ({"metadata": [{}, {}]}, "metadata"),
    "more titles than documents": ({"titles": ["a", "b"]}, "titles"),
    "more ids than documents": ({"document_ids": ["a", "b"]}, "document_ids"),
    "an id twice": ({"documents": ["a", "b"], "document_ids": ["x", "x"]}, "document_ids"),
    "an empty id": ({"document_ids": [""]}, "document_ids[0]"),
    "a chunk too small": ({"chunk_size": 63}, "chunk_size"),
    "a chunk too large": ({"chunk_size": 2049}, "chunk_size"),
    "an overlap too large": ({"chunk_overlap": 513}, "chunk_overlap"),
    "an overlap as large as a chunk": ({"chunk_size": 128, "chunk_overlap": 128}, "chunk_overlap"),
    "an overlap as large as the usual chunk": ({"chunk_overlap": 512}, "chunk_overlap"),
    "skipping without ids": ({"skip_unchanged": True}, "skip_unchanged"),
    "a field that is none": ({"chunk_siez": 128}, "chunk_siez"),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_cannot_be_is_refused_before_anything_is_asked(name: str) -> None:
    wrong, param = BAD[name]

    async with ragging() as (server, retrieval):
        answer = await server.ask("POST", INGEST, json={"collection": "c", "documents": ["a"], **wrong})

    assert (answer.status_code, error_of(answer)["param"]) == (400, param)
    assert retrieval.asked == []


async def test_the_configured_number_of_documents_holds_for_texts_and_files(tmp_path: Path) -> None:
    async with ragging(rag_services(max_documents_per_ingest=2), uploads=tmp_path) as (server, _):
        texts = await server.ask("POST", INGEST, json={"collection": "c", "documents": ["a"] * 3})
        files = await server.ask("POST", UPLOAD, data={"collection": "c"}, files=[("files", ("a", b"x"))] * 3)

    for answer, param in ((texts, "documents"), (files, "files")):
        assert (answer.status_code, error_of(answer)["param"]) == (400, param)
        assert "rag.max_documents_per_ingest" in error_of(answer)["message"]


async def test_files_reach_the_service_with_what_the_form_says(tmp_path: Path) -> None:
    data = {
        "collection": "c",
        "document_ids": json.dumps(["docs/a.md", "docs/b.txt"]),
        "metadata": json.dumps([{"n": 1}]),
        "titles": json.dumps(["A"]),
        "chunking": "markdown_headers",
        "chunk_size": "256",
        "skip_unchanged": "true",
    }
    files = [("files", ("a.md", b"# A", "text/markdown")), ("files", ("b.txt", b"b"))]

    async with ragging(uploads=tmp_path) as (server, retrieval):
        answer = await server.ask("POST", UPLOAD, data=data, files=files)

    assert answer.status_code == 200
    sources = retrieval.asked[0].documents
    assert [(one.id, one.name, one.title, dict(one.metadata)) for one in sources] == [
        ("docs/a.md", "a.md", "A", {"n": 1}),
        ("docs/b.txt", "b.txt", "", {}),
    ]
    assert sources[0].media_type == "text/markdown"
    assert retrieval.store.contents == {"docs/a.md": b"# A", "docs/b.txt": b"b"}
    assert retrieval.asked[0].chunking == Chunking(strategy="markdown_headers", size=256)


async def test_one_object_of_metadata_holds_for_all_files(tmp_path: Path) -> None:
    async with ragging(uploads=tmp_path) as (server, retrieval):
        await server.ask(
            "POST",
            UPLOAD,
            data={"collection": "c", "metadata": '{"by": "me"}'},
            files=[("files", ("a", b"x")), ("files", ("b", b"y"))],
        )

    assert [dict(one.metadata) for one in retrieval.asked[0].documents] == [{"by": "me"}, {"by": "me"}]


async def test_a_form_without_files_is_refused() -> None:
    async with ragging() as (server, _):
        answer = await server.ask("POST", UPLOAD, json={"collection": "c"})

    assert (answer.status_code, error_of(answer)["param"]) == (400, "files")


async def test_where_retrieval_is_switched_off_every_route_says_so() -> None:
    async with ragging(rag_services(enabled=False)) as (server, _):
        ingest = await server.ask("POST", INGEST, json={"collection": "c", "documents": ["a"]})
        listing = await server.ask("GET", f"{URL}/collections")

    for answer in (ingest, listing):
        assert (answer.status_code, "rag.enabled" in error_of(answer)["message"]) == (404, True)

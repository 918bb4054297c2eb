import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from http_support import error_of
from lmx.config.schema import Security
from rag_support import COLLECTIONS, URL, FakeRetrieval, ragging

C = f"{COLLECTIONS}/c"


async def filled(retrieval: FakeRetrieval, *ids: str) -> None:
    from lmx_hookspecs.ingestion import IngestRequest, SourceDocument

    sources = [SourceDocument(id=one, text=one, metadata={"n": place}) for place, one in enumerate(ids)]
    await retrieval.ingest(IngestRequest(collection="c", documents=sources))


async def test_collections_are_listed_with_their_totals() -> None:
    async with ragging() as (server, retrieval):
        await filled(retrieval, "a", "b")
        answer = (await server.ask("GET", COLLECTIONS)).json()
        one = (await server.ask("GET", C)).json()

    assert (answer["total_documents"], answer["total_chunks"], answer["collection_count"]) == (2, 4, 1)
    assert answer["collections"] == [one]
    assert (one["name"], one["document_count"], one["chunk_count"], one["embedding_dimensions"]) == ("c", 2, 4, 2)


async def test_an_empty_collection_is_made_as_long_as_its_models_vectors() -> None:
    async with ragging() as (server, retrieval):
        answer = await server.ask("POST", COLLECTIONS, json={"name": "new", "languages": ["de"], "metadata": {"a": 1}})
        again = await server.ask("POST", COLLECTIONS, json={"name": "new"})
        short = await server.ask("POST", COLLECTIONS, json={"name": "short", "dimensions": 3, "embedding_model": "e"})

    assert (answer.status_code, answer.json()["embedding_model"]) == (201, "model-of-auto")
    assert (answer.json()["embedding_dimensions"], answer.json()["languages"]) == (4, ["de"])
    assert (again.status_code, error_of(again)["code"]) == (409, "collection_exists")
    assert short.json()["embedding_dimensions"] == 3
    assert [(one.model, one.dimensions) for one in server.services.embedded] == [
        ("auto", None),
        ("auto", None),
        ("e", 3),
    ]
    assert retrieval.store.settings["new"].metadata == {"a": 1}


@pytest.mark.parametrize("body", [{"name": "a/b"}, {"name": ""}, {"name": "c", "languages": ["german"]}])
async def test_a_collection_that_cannot_be_is_refused(body: dict[str, object]) -> None:
    async with ragging() as (server, _):
        answer = await server.ask("POST", COLLECTIONS, json=body)

    assert (answer.status_code, error_of(answer)["param"]) == (400, [*body][-1])


async def test_deleting_a_collection_tells_what_is_gone_and_a_second_time_404() -> None:
    async with ragging() as (server, retrieval):
        await filled(retrieval, "a", "b")
        answer = await server.ask("DELETE", C)
        again = await server.ask("DELETE", C)

    assert answer.json() == {"success": True, "collection": "c", "documents_deleted": 2, "chunks_deleted": 4}
    assert (again.status_code, error_of(again)["code"]) == (404, "collection_not_found")


async def test_documents_are_listed_in_pages() -> None:
    async with ragging() as (server, retrieval):
        await filled(retrieval, "a", "b/1", "c")
        first = (await server.ask("GET", f"{C}/documents?limit=2")).json()
        last = (await server.ask("GET", f"{C}/documents", params={"limit": 2, "after": first["next"]})).json()
        exact = (await server.ask("GET", f"{C}/documents?limit=3")).json()

    assert ([one["id"] for one in first["documents"]], first["total"], first["next"]) == (["a", "b/1"], 3, "b/1")
    assert ([one["id"] for one in last["documents"]], last["next"], exact["next"]) == (["c"], None, None)
    assert first["documents"][1]["metadata"] == {"n": 1}


async def test_a_listing_may_be_filtered() -> None:
    async with ragging() as (server, retrieval):
        await filled(retrieval, "a")
        await server.ask("GET", f"{C}/documents", params={"filter": '{"type": "eq", "key": "a", "value": 1}'})
        bad = await server.ask("GET", f"{C}/documents", params={"filter": "a=1"})

    assert retrieval.store.filters == [{"type": "eq", "key": "a", "value": 1}]
    assert (bad.status_code, error_of(bad)["param"]) == (400, "filter")


async def test_a_document_is_read_changed_and_deleted_by_an_id_with_slashes() -> None:
    place = f"{C}/documents/{quote('notes/ä b.md')}"

    async with ragging() as (server, retrieval):
        await filled(retrieval, "notes/ä b.md")
        read = (await server.ask("GET", place)).json()
        changed = (await server.ask("PATCH", place, json={"metadata": {"kind": "note"}})).json()
        deleted = await server.ask("DELETE", place)
        again = await server.ask("DELETE", place)

    assert (read["document"]["id"], read["document"]["tokens"]) == ("notes/ä b.md", 5)
    assert read["chunks"] == [
        {
            "id": "notes/ä b.md#1",
            "index": 1,
            "text": "text",
            "section": "Head",
            "start": 3,
            "end": 7,
            "tokens": 1,
            "metadata": {"page": 2},
        }
    ]
    assert changed["metadata"] == {"kind": "note"}
    assert deleted.json() == {"success": True, "collection": "c", "document_id": "notes/ä b.md"}
    assert (again.status_code, error_of(again)["code"]) == (404, "document_not_found")


async def test_a_collection_is_exported_and_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMX_HOME", str(tmp_path / "home"))

    async with ragging(uploads=tmp_path / "up") as (server, retrieval):
        await filled(retrieval, "a")
        exported = await server.ask("GET", f"{C}/export")
        imported = await server.ask("POST", f"{COLLECTIONS}/d/import", files={"file": ("c", exported.content)})
        missing = await server.ask("GET", f"{COLLECTIONS}/nope/export")
        empty = await server.ask("POST", f"{COLLECTIONS}/e/import", files={})

    assert exported.content == b"c" * 1000
    assert (imported.status_code, imported.json()["name"]) == (201, "d")
    assert retrieval.store.contents["d"] == exported.content
    assert (missing.status_code, error_of(empty)["param"]) == (404, "file")
    assert entries(tmp_path / "home" / "exports") == []


async def test_a_snapshot_is_removed_that_the_store_was_still_writing_when_the_client_went_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMX_HOME", str(tmp_path / "home"))
    begun, gone, removed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async with ragging() as (server, retrieval):
        await filled(retrieval, "a")

        async def slowly(_store: object, _collection: str, file: Path) -> int:
            begun.set()
            await gone.wait()
            await asyncio.to_thread(file.write_bytes, b"all of it")
            asyncio.get_running_loop().call_later(0.05, removed.set)
            return 9

        monkeypatch.setattr(type(retrieval.store), "snapshot", slowly)
        asked = asyncio.create_task(server.ask("GET", f"{C}/export"))
        await begun.wait()
        asked.cancel()
        await asyncio.wait([asked])
        gone.set()
        await removed.wait()

    assert entries(tmp_path / "home" / "exports") == []


async def test_new_metadata_does_not_let_go_of_the_documents_file() -> None:
    ours = {"source": "notes/a.md", "watched": "/notes", "fingerprint": "f"}

    async with ragging() as (server, retrieval):
        await filled(retrieval, "a")
        await retrieval.store.update_metadata("c", "a", {**ours, "topic": "old"})
        changed = (await server.ask("PATCH", f"{C}/documents/a", json={"metadata": {"kind": "note"}})).json()

    assert changed["metadata"] == {**ours, "kind": "note", "described": ["kind"]}


def entries(folder: Path) -> list[Path]:
    return list(folder.iterdir())


WRITES = (
    ("POST", f"{URL}/ingest"),
    ("POST", f"{URL}/documents"),
    ("POST", COLLECTIONS),
    ("DELETE", C),
    ("POST", f"{C}/import"),
    ("PATCH", f"{C}/documents/a"),
    ("DELETE", f"{C}/documents/a"),
)
READS = (
    ("POST", f"{URL}/query"),
    ("POST", f"{URL}/context"),
    ("GET", COLLECTIONS),
    ("GET", C),
    ("GET", f"{C}/export"),
    ("GET", f"{C}/documents"),
    ("GET", f"{C}/documents/a"),
)


async def test_writes_need_an_api_key_or_the_admin_key_and_reads_an_api_key() -> None:
    async with ragging(security=Security(api_keys=["k"], admin_key="a")) as (server, _):
        for method, path in (*WRITES, *READS):
            bare = await server.ask(method, path)
            admin = await server.ask(method, path, headers={"X-Admin-Key": "a"})
            keyed = await server.ask(method, path, headers={"Authorization": "Bearer k"})

            assert bare.status_code == 401, path
            assert (admin.status_code == 401) == ((method, path) in READS), path
            assert keyed.status_code not in {401, 403}, path


async def test_with_an_admin_key_alone_writes_need_it_and_reads_are_open() -> None:
    async with ragging(security=Security(admin_key="a")) as (server, _):
        for method, path in (*WRITES, *READS):
            bare = await server.ask(method, path)

            assert (bare.status_code == 403) == ((method, path) in WRITES), path


async def test_the_document_of_the_surface_is_valid_and_shows_the_forms() -> None:
    async with ragging() as (server, _):
        described = (await server.ask("GET", "/openapi.json")).json()

    OpenAPIV31SpecValidator(described).validate()
    upload = described["paths"]["/v1/rag/documents"]["post"]
    form = upload["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["files"]["items"] == {"type": "string", "format": "binary"}
    assert {"admin_key": []} in upload["security"]


async def test_making_and_changing_refuse_unknown_fields_or_drop_them_for_lenient_clients() -> None:
    async with ragging() as (server, retrieval):
        await filled(retrieval, "a")
        asked = [
            ("POST", COLLECTIONS, {"name": "new", "foo": 1}),
            ("PATCH", f"{C}/documents/a", {"metadata": {"n": 2}, "foo": 1}),
        ]
        strict = [await server.ask(method, path, json=body) for method, path, body in asked]
        untouched = "new" not in retrieval.store.kept and retrieval.store.of("c")["a"].metadata == {"n": 0}
        headers = {"X-LMX-Lenient": "1"}
        lenient = [await server.ask(method, path, json=body, headers=headers) for method, path, body in asked]

    assert {(one.status_code, error_of(one)["code"]) for one in strict} == {(400, "unsupported_parameter")}
    assert untouched
    assert [one.json()["warnings"] for one in lenient] == [["foo was dropped: it is not supported"]] * 2

"""OpenAI's own client against real files, the real store, the embedder that ships, and the model that ships."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import NotFoundError, OpenAI

from serving import Server, served

pytest.importorskip("tantivy")
pytest.importorskip("tokenizers")

GUIDE = (
    "guide.md",
    (
        b"# Ports\n\nThe server of LMX listens on port 1234 unless the configuration says otherwise.\n\n"
        b"# Plugins\n\nEverything that LMX can do is a plugin; the command lists them with their status.\n"
    ),
)
FRUIT = ("fruit.txt", b"Bananas are yellow when they are ripe, and apples are red or green.\n")
RESULTS = "file_search_call.results"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vector-stores")


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Server]:
    with served(home, {"models": {"auto_load": ["lmx-tiny", "lmx-tiny-embed"]}}) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[Any]:  # its request types are narrower than plain dictionaries
    with OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def library(server: Server) -> str:
    """A vector store with two files."""
    with OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        store = client.vector_stores.create(name="library")
        batch = client.vector_stores.file_batches.upload_and_poll(store.id, files=[GUIDE, FRUIT])
    assert (batch.status, batch.file_counts.completed) == ("completed", 2)
    return store.id


def test_uploaded_files_are_found_by_what_they_say(client: Any, library: str) -> None:
    page = client.vector_stores.search(library, query="on which port does the server listen?", max_num_results=2)

    best = page.data[0]
    assert best.filename == "guide.md"
    assert "1234" in best.content[0].text
    assert 0 < best.score <= 1


def test_a_file_lives_from_upload_to_deletion(client: Any) -> None:
    store = client.vector_stores.create(name="short")
    added = client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id,
        file=GUIDE,
        attributes={"year": 2024},
        chunking_strategy={"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}},
    )
    content = client.vector_stores.files.content(added.id, vector_store_id=store.id)
    matching = client.vector_stores.search(store.id, query="port", filters={"type": "eq", "key": "year", "value": 2024})
    client.vector_stores.files.update(added.id, vector_store_id=store.id, attributes={"year": 2025})
    outdated = client.vector_stores.search(store.id, query="port", filters={"type": "eq", "key": "year", "value": 2024})

    assert (added.status, added.last_error) == ("completed", None)
    assert client.files.content(added.id).content == GUIDE[1]
    assert "1234" in "".join(part.text for part in content.data)
    assert {found.file_id for found in matching.data} == {added.id}
    assert outdated.data == []
    client.files.delete(added.id)
    assert client.vector_stores.search(store.id, query="port").data == []
    assert client.vector_stores.retrieve(store.id).file_counts.total == 0
    assert client.vector_stores.delete(store.id).deleted
    with pytest.raises(NotFoundError):
        client.vector_stores.retrieve(store.id)


@pytest.mark.parametrize(
    ("file", "code"),
    [
        (("empty.txt", b""), "invalid_file"),
        (("not-a.pdf", b"%PDF-no"), "invalid_file"),
        (("program.exe", b"MZ\x00\x90\xff\xfe\x00"), "unsupported_file"),
    ],
)
def test_what_cannot_be_read_has_failed_and_says_why(client: Any, file: Any, code: str) -> None:
    store = client.vector_stores.create()

    added = client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=file)

    assert added.status == "failed"
    assert added.last_error.code == code
    assert added.last_error.message


def test_the_rag_surface_shows_the_same_chunks(client: Any, server: Server, library: str) -> None:
    ids = {file.id for file in client.vector_stores.files.list(library)}

    with server.client() as http:
        listed = http.get(f"/v1/rag/collections/{library}/documents").json()
        asked = http.post("/v1/rag/query", json={"collection": library, "query": "ripe bananas", "top_k": 1}).json()

    assert {document["id"] for document in listed["documents"]} == ids
    assert "Bananas" in asked["results"][0]["text"]


def test_a_response_reads_the_files_that_it_has_to_search(client: Any, library: str) -> None:
    tool = {"type": "file_search", "vector_store_ids": [library], "max_num_results": 1}
    asked = {
        "model": "lmx-tiny",
        "input": "On which port does the server listen?",
        "tools": [tool],
        "tool_choice": {"type": "file_search"},
        "max_output_tokens": 32,
    }

    response = client.responses.create(**asked, include=[RESULTS])
    with client.responses.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_response()
    plain = client.responses.create(**{**asked, "tools": [], "tool_choice": "auto"})

    search, message = response.output
    assert (search.type, search.status, search.queries) == ("file_search_call", "completed", [asked["input"]])
    assert "1234" in search.results[0].text
    assert message.type == "message"
    assert response.usage.input_tokens > plain.usage.input_tokens + 10
    searching = [kind for kind in kinds if "file_search_call" in kind]
    assert searching == [f"response.file_search_call.{part}" for part in ("in_progress", "searching", "completed")]
    assert streamed.output[0].type == "file_search_call"


def test_a_response_cites_no_document_that_is_no_file_of_the_store(client: Any, server: Server) -> None:
    store = client.vector_stores.create()
    file = client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=FRUIT)
    stranger = {"collection": store.id, "documents": ["Bananas are blue."], "document_ids": ["stranger"]}
    tool = {"type": "file_search", "vector_store_ids": [store.id]}
    forced = {"tools": [tool], "tool_choice": {"type": "file_search"}, "include": [RESULTS]}
    with server.client() as http:
        assert http.post("/v1/rag/ingest", json=stranger).status_code == 200
        asked = http.post("/v1/rag/query", json={"collection": store.id, "query": "bananas"}).json()

    response = client.responses.create(model="lmx-tiny", input="Bananas?", max_output_tokens=8, **forced)

    assert {result["document_id"] for result in asked["results"]} == {file.id, "stranger"}
    assert {result.file_id for result in response.output[0].results} == {file.id}


def test_a_model_may_search_or_not_and_the_answer_is_whole_either_way(client: Any, library: str) -> None:
    tool = {"type": "file_search", "vector_store_ids": [library], "max_num_results": 1}

    response = client.responses.create(
        model="lmx-tiny", input="Search the files: on which port?", tools=[tool], max_output_tokens=64, temperature=0
    )

    assert response.status in ("completed", "incomplete")
    assert {item.type for item in response.output} <= {"file_search_call", "message", "reasoning"}


def test_a_call_of_the_model_is_made_and_answered_in_the_same_response(client: Any, library: str) -> None:
    search = {"type": "file_search", "vector_store_ids": [library], "max_num_results": 1}
    other = {"type": "function", "name": "zzz", "parameters": {"type": "object", "properties": {}}}
    asked: dict[str, Any] = {"model": "lmx-tiny", "input": "Which port?", "temperature": 0, "max_output_tokens": 200}

    response = client.responses.create(**asked, tools=[search, other], tool_choice="required", include=[RESULTS])
    once = client.responses.create(**asked)

    called, message = response.output
    assert (called.type, called.status) == ("file_search_call", "completed")
    assert called.queries
    assert len(called.results) <= 1
    assert (message.type, message.status) == ("message", "completed")
    assert response.usage.input_tokens > 2 * once.usage.input_tokens


@pytest.mark.parametrize("is_killed", [False, True])
def test_files_and_stores_outlive_the_server(tmp_path: Path, is_killed: bool) -> None:
    with (
        served(tmp_path, {"models": {"auto_load": ["lmx-tiny-embed"]}}) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client,
    ):
        store = client.vector_stores.create(name="kept")
        file = client.files.create(file=FRUIT, purpose="assistants")
        client.vector_stores.files.create(store.id, file_id=file.id)
        if is_killed:
            server.process.kill()
            server.process.wait()

    with (
        served(tmp_path, {"models": {"auto_load": ["lmx-tiny-embed"]}}) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client,
    ):
        added = client.vector_stores.files.poll(file.id, vector_store_id=store.id)
        page = client.vector_stores.search(store.id, query="yellow bananas")

    assert (added.status, added.last_error) == ("completed", None)
    assert page.data[0].file_id == file.id


def test_what_one_key_has_made_is_nowhere_to_be_seen_for_another(tmp_path: Path) -> None:
    keys = ["a-key-of-alice-0123456789", "a-key-of-bob-0123456789abc"]
    question = "on which port does the server listen?"
    with served(tmp_path, {"security": {"api_keys": keys}}) as server:
        alice, bob = (OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) for key in keys)
        with alice, bob, server.client() as http:
            store = alice.vector_stores.create(name="mine")
            alice.vector_stores.file_batches.upload_and_poll(store.id, files=[GUIDE])
            path = f"/v1/rag/collections/{store.id}"
            headers = [{"Authorization": f"Bearer {key}"} for key in keys]
            collections = [http.get("/v1/rag/collections", headers=one).json()["collections"] for one in headers]
            exports = [http.get(f"{path}/export", headers=one).status_code for one in headers]
            asked = [
                http.post("/v1/rag/query", json={"query": question, "collection": store.id}, headers=one).status_code
                for one in headers
            ]
            tool: Any = {"type": "file_search", "vector_store_ids": [store.id]}
            for refused in (
                lambda: bob.vector_stores.retrieve(store.id),
                lambda: bob.vector_stores.search(store.id, query=question),
                lambda: bob.responses.create(model="lmx-tiny", input=question, tools=[tool]),
            ):
                with pytest.raises(NotFoundError):
                    refused()
            lists = [[one.id for one in client.vector_stores.list()] for client in (alice, bob)]
            found = alice.vector_stores.search(store.id, query=question).data

    assert [[one["name"] for one in seen] for seen in collections] == [[store.id], []]
    assert (exports, asked, lists) == ([200, 404], [200, 404], [[store.id], []])
    assert "1234" in found[0].content[0].text

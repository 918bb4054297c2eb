"""Files, folders, keys and restarts of retrieval over HTTP, and the commands that the pages show."""

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from rag_requests import COLLECTIONS, FACTS, URL, answered, asked, ingested, refused, texts
from serving import Server, eventually, served

pytest.importorskip("tantivy")
pytest.importorskip("faiss")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("rag"), {}) as started:
        yield started


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as opened:
        yield opened


# 53, 55: restarts and keys

KEYS: Mapping[str, Any] = {"security": {"api_keys": ["sk-test"], "admin_key": "admin-test"}}


def test_what_was_acknowledged_is_there_after_the_process_was_killed(tmp_path: Path) -> None:
    with served(tmp_path, {}) as server, server.client() as client:
        ingested(client, "kept", FACTS, document_ids=list("abcd"))
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(20)

    with served(tmp_path, {}) as server, server.client() as client:
        assert answered(client.get(f"{COLLECTIONS}/kept"))["document_count"] == 4
        assert texts(asked(client, "kept", "capital of France", search_mode="hybrid"))[0] == FACTS[0]


def test_writing_needs_either_key_where_keys_are_set(tmp_path: Path) -> None:
    body = {"collection": "locked", "documents": ["x"]}
    api, admin = {"Authorization": "Bearer sk-test"}, {"X-Admin-Key": "admin-test"}

    with served(tmp_path, KEYS) as server, server.client() as client:
        assert refused(client.post(f"{URL}/ingest", json=body)) == (401, "invalid_api_key")
        assert refused(client.delete(f"{COLLECTIONS}/locked")) == (401, "invalid_api_key")
        answered(client.post(f"{URL}/ingest", json=body, headers=admin))
        answered(client.post(f"{URL}/ingest", json=body, headers=api))
        assert refused(client.post(f"{URL}/query", json={"collection": "locked", "query": "x"})) == (
            401,
            "invalid_api_key",
        )
        answered(client.delete(f"{COLLECTIONS}/locked", headers=admin))


def test_where_retrieval_is_off_there_is_none(tmp_path: Path) -> None:
    with served(tmp_path, {"rag": {"enabled": False}}) as server, server.client() as client:
        answer = client.get(COLLECTIONS)

    assert refused(answer) == (404, "not_found")
    assert "rag.enabled" in answer.json()["error"]["message"]


# files and folders


def test_files_are_read_by_what_they_are(client: httpx.Client) -> None:
    files: Any = [
        ("files", ("notes.md", b"# Otters\n\nOtters hold hands while they sleep.\n", "text/markdown")),
        ("files", ("page.html", b"<title>Bees</title><script>x()</script><p>Bees dance to tell where food is.</p>")),
        ("files", ("data.csv", b"animal,legs\nspider,8\nant,6\n", "text/csv")),
    ]
    data = {"collection": "files", "document_ids": json.dumps(["n", "p", "d"]), "chunk_size": "128"}

    made = answered(client.post(f"{URL}/documents", data=data, files=files))

    assert (made["documents_ingested"], made["document_ids"]) == (3, ["n", "p", "d"])
    best = asked(client, "files", "how do bees tell where food is", search_mode="hybrid")["results"][0]
    assert (best["document_id"], best["title"], "x()" in best["text"]) == ("p", "Bees", False)


BROKEN: Mapping[str, tuple[str, bytes, str]] = {
    "a PDF that is none": ("a.pdf", b"%PDF-1.7 nothing", "unreadable_file"),
    "a DOCX that is none": ("a.docx", b"PK\x03\x04 nothing", "unreadable_file"),
    "an unknown kind": ("a.exe", b"MZ\x00\x00", "unsupported_file"),
    "an empty file": ("a.txt", b"", "empty_content"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_read_is_refused_by_name_and_nothing_is_stored(client: httpx.Client, name: str) -> None:
    filename, content, code = BROKEN[name]
    files = [("files", ("good.txt", b"good")), ("files", (filename, content))]

    answer = client.post(f"{URL}/documents", data={"collection": "broken"}, files=files)

    assert refused(answer) == (400, code)
    assert filename in answer.json()["error"]["message"]
    assert refused(client.get(f"{COLLECTIONS}/broken")) == (404, "collection_not_found")


def test_a_watched_folder_is_kept_in_its_collection(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "otters.md").write_text("# Otters\n\nOtters hold hands while they sleep.\n")
    (folder / ".hidden.md").write_text("secret")
    (folder / "picture.exe").write_bytes(b"MZ\0\x90\0\3")

    with served(tmp_path, {"rag": {"watch": {"notes": [str(folder)]}}}) as server, server.client() as client:

        def documents() -> set[str]:
            answer = client.get(f"{COLLECTIONS}/notes/documents")
            return {one["id"] for one in answer.json()["documents"]} if answer.status_code == 200 else set()

        eventually(lambda: documents() == {"notes/otters.md"}, 60)
        (folder / "bees.md").write_text("# Bees\n\nBees dance.\n")
        eventually(lambda: documents() == {"notes/otters.md", "notes/bees.md"}, 60)
        assert asked(client, "notes", "dance", search_mode="keyword")["results"][0]["document_id"] == "notes/bees.md"
        (folder / "otters.md").unlink()
        eventually(lambda: documents() == {"notes/bees.md"}, 60)


# what the pages say


@pytest.mark.skipif(shutil.which("curl") is None, reason="the commands are curl's")
@pytest.mark.parametrize("page", ["README.md", "plugins/rag/README.md"])
def test_the_commands_of_the_pages_work(server: Server, page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) if "/v1/rag" in block]

    for block in blocks:
        commands = block.replace("http://127.0.0.1:1234", server.url).replace("curl -s ", "curl -sS --fail-with-body ")
        done = subprocess.run(
            ["bash", "-ec", commands], check=False, cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr

    assert blocks

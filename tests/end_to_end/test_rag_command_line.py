"""`lmx rag`, as a program, against a real server with its store, readers and built-in embedding model."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving import Server, served

pytest.importorskip("tantivy")
pytest.importorskip("numpy")

FRUIT = {
    "apple.md": "# Apples\n\nAn apple is a round fruit that grows on trees, and cider is made of it.\n",
    "deep/whale.txt": "Whales are mammals that live in the sea and breathe air.\n",
    "ü deep/volcano.html": "<html><head><title>Volcanoes</title></head><body>Lava flows from them.</body></html>",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("rag-server"), {"plugins": {"echo": {"enabled": True}}}) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FRUIT.items():
        file = tmp_path / "notes" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return tmp_path / "notes"


def rag(server: Server, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lmx", "rag", *map(str, words), "--url", server.url],
        capture_output=True,
        text=True,
        input="",
        timeout=120,
        check=False,
    )


def answer(server: Server, *words: object) -> Any:
    done = rag(server, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_folder_is_ingested_once_and_then_left_alone(server: Server, folder: Path) -> None:
    first = rag(server, "ingest", folder, "-c", "once")
    second = answer(server, "ingest", folder, "-c", "once")

    assert first.returncode == 0, first.stderr
    assert "once: 3 files ingested in 3 chunks, 0 unchanged" in first.stdout
    assert (second["ingested"], second["unchanged"], second["failed"]) == (0, 3, [])


def test_another_way_of_cutting_is_a_change_and_force_is_one_too(server: Server, folder: Path) -> None:
    answer(server, "ingest", folder, "-c", "again")

    assert (
        answer(server, "ingest", folder, "-c", "again", "--chunk-size", "64", "--chunk-overlap", "0")["ingested"] == 3
    )
    assert answer(server, "ingest", folder, "-c", "again", "--force")["ingested"] == 3


def test_a_query_finds_what_was_ingested_in_each_mode(server: Server, folder: Path) -> None:
    answer(server, "ingest", folder, "-c", "asked")

    for mode in ("vector", "keyword", "hybrid"):
        found = answer(server, "query", "which animals breathe air in the sea", "-c", "asked", "--mode", mode)
        assert found["results"][0]["document_id"] == "notes/deep/whale.txt", mode
    printed = rag(server, "query", "lava", "-c", "asked", "-k", "1").stdout
    assert "asked: notes/ü deep/volcano.html | Volcanoes" in printed


def test_a_filter_on_metadata_chooses(server: Server, folder: Path) -> None:
    answer(server, "ingest", folder / "apple.md", "-c", "filtered", "--metadata", '{"kind": "fruit"}')
    answer(server, "ingest", folder / "deep", "-c", "filtered", "--metadata", '{"kind": "animal"}')

    filter_ = '{"type": "eq", "key": "kind", "value": "fruit"}'
    found = answer(server, "query", "whales in the sea", "-c", "filtered", "--filter", filter_)
    wrong = rag(server, "query", "x", "-c", "filtered", "--filter", '{"type": "nonsense"}')

    assert {hit["document_id"] for hit in found["results"]} == {"notes/apple.md"}
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("lmx: ")


def test_what_cannot_be_read_is_listed_and_the_rest_is_there(server: Server, folder: Path) -> None:
    (folder / "broken.pdf").write_bytes(b"this is no PDF")
    (folder / "picture.zzz").write_bytes(bytes(range(256)))

    done = rag(server, "ingest", folder, "-c", "mixed")

    assert done.returncode == 1
    assert "3 files ingested" in done.stdout
    assert f"lmx: {folder / 'broken.pdf'}: " in done.stderr
    assert "Traceback" not in done.stderr


def test_prune_and_rm_delete(server: Server, folder: Path) -> None:
    answer(server, "ingest", folder, "-c", "shrinking")
    (folder / "apple.md").unlink()

    pruned = answer(server, "ingest", folder, "-c", "shrinking", "--prune")["pruned"]
    removed = answer(server, "rm", "shrinking", "notes/deep/whale.txt", "--yes")["deleted"]
    left = answer(server, "collections", "shrinking", "--documents")
    answer(server, "rm", "shrinking", "--yes")

    assert (pruned, removed) == (["notes/apple.md"], ["notes/deep/whale.txt"])
    assert [document["id"] for document in left["documents"]] == ["notes/ü deep/volcano.html"]
    assert "shrinking" not in [one["name"] for one in answer(server, "collections")["collections"]]
    assert rag(server, "collections", "shrinking").returncode == 1


def test_an_export_comes_back_as_another_collection(server: Server, folder: Path, tmp_path: Path) -> None:
    answer(server, "ingest", folder, "-c", "original")

    exported = answer(server, "export", "original", tmp_path / "original.snapshot")
    answer(server, "import", tmp_path / "original.snapshot", "copy")

    assert exported["size_bytes"] == (tmp_path / "original.snapshot").stat().st_size
    asked = ("query", "cider", "-c", "copy", "-k", "1")
    assert answer(server, *asked)["results"][0]["document_id"] == "notes/apple.md"
    assert rag(server, "import", tmp_path / "original.snapshot", "copy").returncode == 1  # it is there
    assert rag(server, "import", folder / "apple.md", "nonsense").returncode == 1  # that is no snapshot


def test_eval_prints_the_modes_side_by_side(server: Server, tmp_path: Path) -> None:
    corpus = [{"id": Path(name).stem, "title": "", "text": text} for name, text in FRUIT.items()]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    (tmp_path / "queries.tsv").write_text("1\twhat is cider made of\n2\tlava\n")
    (tmp_path / "qrels.txt").write_text("1 0 apple 1\n2 0 volcano 1\n2 0 whale 0\n")
    words = ("eval", tmp_path / "queries.tsv", tmp_path / "qrels.txt", "-c", "judged")

    done = rag(server, *words, "--corpus", tmp_path / "corpus.jsonl")
    measured = answer(server, *words, "--rerank-model", "echo")["modes"]

    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[:4]] == ["MODE", "vector", "keyword", "hybrid"]
    assert list(measured) == ["vector", "keyword", "hybrid", "hybrid+rerank"]
    assert measured["keyword"] == {"ndcg@10": 1.0, "recall@100": 1.0, "mrr": 1.0}


def test_ctrl_c_ends_cleanly_and_the_same_command_goes_on(server: Server, tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(400):
        (many / f"{number:03}.txt").write_text(f"document number {number} " * 40)
    words = [sys.executable, "-m", "lmx", "rag", "ingest", str(many), "-c", "many", "--jobs", "2", "--url", server.url]

    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the first file is in
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    report = answer(server, "ingest", many, "-c", "many")

    assert process.returncode == 130
    assert "the same command goes on from there" in stderr
    assert "Traceback" not in stderr
    assert report["unchanged"] > 0
    assert report["ingested"] + report["unchanged"] == 400


def test_without_a_server_it_says_how_to_start_one() -> None:
    done = rag(Server(process=None, url="http://127.0.0.1:9"), "collections")  # type: ignore[arg-type]

    assert done.returncode == 1
    assert "`lmx serve` starts one" in done.stderr

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fake_rag_server import FakeRag

Run = Callable[..., int]


@pytest.fixture(autouse=True)
def stored(rag: FakeRag) -> None:
    rag.collections["one"] = {
        name: {"id": name, "title": f"about {name}", "metadata": {}, "text": f"the {name} text"}
        for name in ("apple", "folder/pear", "plum")
    }
    rag.collections["two"] = {"fig": {"id": "fig", "title": "", "metadata": {}, "text": "the fig apple text"}}


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.mark.parametrize("words", [("collections", "a/b"), ("rm", "a/b", "--yes"), ("collections", "..")])
def test_what_no_collection_can_be_called_is_refused_before_anybody_is_asked(
    lmx_rag: Run, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert lmx_rag(*words) == 1

    assert "printable characters without slashes" in capsys.readouterr().err


def test_query_prints_the_hits_best_first(lmx_rag: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert lmx_rag("query", "the folder/pear", "-c", "one", "-k", "2") == 0

    first, *_ = capsys.readouterr().out.splitlines()
    assert first == "1. 2.0000  one: folder/pear | about folder/pear"


def test_query_of_several_collections_ranks_their_hits_together(lmx_rag_json: Any) -> None:
    answer = lmx_rag_json("query", "fig apple", "-c", "one", "-c", "two")

    assert [(hit["collection"], hit["document_id"]) for hit in answer["results"]] == [("two", "fig"), ("one", "apple")]


def test_query_sends_what_it_is_told(lmx_rag: Run, rag: FakeRag) -> None:
    filter_ = '{"type": "eq", "key": "a", "value": 1}'
    words = ("--mode", "keyword", "--rerank-model", "ranker", "--filter", filter_, "--top-k", "7")

    lmx_rag("query", "x", "-c", "one", *words)

    assert rag.requests[-1][2] == {
        "collection": "one",
        "query": "x",
        "search_mode": "keyword",
        "top_k": 7,
        "filter": {"type": "eq", "key": "a", "value": 1},
        "rerank": True,
        "rerank_final_k": 7,
        "rerank_model": "ranker",
    }


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_filter_that_is_no_object_is_a_usage_error(lmx_rag: Run, text: str) -> None:
    with pytest.raises(SystemExit) as end:
        lmx_rag("query", "x", "--filter", text)

    assert end.value.code == 2


def test_a_query_without_hits_says_so(lmx_rag: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert lmx_rag("query", "zzz", "-c", "one") == 0
    assert "nothing was found" in capsys.readouterr().out


def test_collections_are_a_table(lmx_rag: Run, lmx_rag_json: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert lmx_rag("collections") == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["NAME", "DOCUMENTS", "CHUNKS"]
    assert lines[1].split()[:3] == ["one", "3", "3"]
    assert [one["name"] for one in lmx_rag_json("collections")["collections"]] == ["one", "two"]


def test_one_collection_is_shown_with_its_documents(
    lmx_rag: Run, lmx_rag_json: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lmx_rag("collections", "one", "--documents") == 0

    written = capsys.readouterr().out
    assert "document_count" in written
    assert "folder/pear" in written
    ids = [one["id"] for one in lmx_rag_json("collections", "one", "--documents")["documents"]]
    assert ids == ["apple", "folder/pear", "plum"]


def test_an_unknown_collection_is_one_line_and_status_1(lmx_rag: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert lmx_rag("collections", "three") == 1
    assert capsys.readouterr().err == "lmx: there is no collection 'three'\n"


@pytest.mark.parametrize(("answer", "agreed"), [("y\n", True), ("n\n", False), ("", False)])
def test_rm_asks_first(lmx_rag: Run, rag: FakeRag, monkeypatch: pytest.MonkeyPatch, answer: str, agreed: bool) -> None:
    typed(monkeypatch, answer)

    assert lmx_rag("rm", "one") == (0 if agreed else 1)
    assert ("one" in rag.collections) is not agreed


def test_rm_deletes_documents_and_says_which_are_not_there(
    lmx_rag: Run, lmx_rag_json: Any, rag: FakeRag, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lmx_rag("rm", "one", "folder/pear", "nope", "--yes") == 1
    assert "there is no document 'nope'" in capsys.readouterr().err
    assert set(rag.collections["one"]) == {"apple", "plum"}
    assert lmx_rag_json("rm", "one", "plum", "--yes") == {"collection": "one", "deleted": ["plum"], "missing": []}


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_be_another_path_is_refused(lmx_rag: Run, rag: FakeRag, name: str) -> None:
    assert lmx_rag("rm", name, "--yes") == 1
    assert rag.requests == []


def test_export_writes_a_file_and_import_reads_it(lmx_rag: Run, rag: FakeRag, tmp_path: Path) -> None:
    file = tmp_path / "one.snapshot"

    assert lmx_rag("export", "one", file) == 0
    assert file.stat().st_mode & 0o777 == 0o600, "documents are nobody else's to read"
    assert lmx_rag("import", file, "three") == 0

    assert rag.collections["three"]["restored"]["text"] == "snapshot of one"
    assert list(tmp_path.glob("*.partial")) == []


def test_export_overwrites_nothing_and_leaves_nothing_behind(
    lmx_rag: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").write_text("precious")

    assert lmx_rag("export", "one", tmp_path / "there") == 1
    assert lmx_rag("export", "unknown", tmp_path / "new") == 1
    assert lmx_rag("export", "one", tmp_path / "no folder" / "new") == 1

    assert (tmp_path / "there").read_text() == "precious"
    assert list(tmp_path.glob("new*")) == []
    assert "cannot write" in capsys.readouterr().err


def test_import_of_a_missing_file_is_a_clear_error(
    lmx_rag: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lmx_rag("import", tmp_path / "none", "three") == 1
    assert "cannot read" in capsys.readouterr().err

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fake_rag_server import FakeRag, error
from lmx_rag.commands import uploads

Run = Callable[..., int]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    for name in ("a.md", "b.md", "ü c.txt"):
        (folder / name).write_text(f"this is {name}", encoding="utf-8")
    return folder


def test_files_are_stored_under_their_paths_with_where_they_came_from(
    lmx_rag: Run, rag: FakeRag, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = lmx_rag("ingest", notes, "--collection", "mine", "--metadata", '{"kind": "note"}')

    assert status == 0
    stored = rag.collections["mine"]["notes/a.md"]
    assert stored["text"] == "this is a.md"
    assert stored["metadata"]["source"] == str(notes / "a.md")
    assert stored["metadata"]["kind"] == "note"
    assert "mine: 3 files ingested in 3 chunks, 0 unchanged, 0 skipped, 0 failed" in capsys.readouterr().out


def test_what_has_not_changed_is_not_even_sent(lmx_rag: Run, lmx_rag_json: Any, rag: FakeRag, notes: Path) -> None:
    lmx_rag("ingest", notes)
    (notes / "b.md").write_text("changed")
    before = len(rag.uploads())

    report = lmx_rag_json("ingest", notes)

    assert rag.uploads()[before:] == ["b.md"]
    assert (report["ingested"], report["unchanged"], report["failed"]) == (1, 2, [])


def test_another_way_of_cutting_sends_everything_again_and_the_server_decides(
    lmx_rag: Run, lmx_rag_json: Any, rag: FakeRag, notes: Path
) -> None:
    lmx_rag("ingest", notes)

    report = lmx_rag_json("ingest", notes, "--chunk-size", "128", "--chunking", "fixed")

    sent = rag.requests[-1][2]
    assert (sent["chunk_size"], sent["chunking"], sent["skip_unchanged"]) == ("128", "fixed", "true")
    assert report["unchanged"] == 3  # this server looks at the text alone


def test_force_ingests_everything_again(lmx_rag: Run, lmx_rag_json: Any, rag: FakeRag, notes: Path) -> None:
    lmx_rag("ingest", notes)

    report = lmx_rag_json("ingest", notes, "--force")

    assert report["ingested"] == 3
    assert rag.requests[-1][2]["skip_unchanged"] == "false"


def test_files_that_fail_are_listed_at_the_end_and_the_others_go_on(
    lmx_rag: Run, rag: FakeRag, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rag.failures["a.md"] = [error(400, "unreadable_file", "that is no Markdown")]

    status = lmx_rag("ingest", notes)

    written = capsys.readouterr()
    assert status == 1
    assert len(rag.collections["default"]) == 2
    assert f"lmx: {notes / 'a.md'}: that is no Markdown" in written.err.splitlines()[-1]
    assert "2 files ingested" in written.out


def test_what_nobody_can_read_is_skipped_in_a_folder_and_fails_by_name(
    lmx_rag: Run, rag: FakeRag, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rag.failures["a.md"] = [error(400, "unsupported_file", "no reader reads .md")] * 2

    assert lmx_rag("ingest", notes) == 0
    assert "1 skipped, 0 failed" in capsys.readouterr().out
    assert lmx_rag("ingest", notes / "a.md") == 1


def test_a_document_that_came_from_another_file_is_not_replaced_unless_by_force(
    lmx_rag: Run, rag: FakeRag, notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lmx_rag("ingest", notes)
    other = tmp_path / "elsewhere" / "notes" / "a.md"
    other.parent.mkdir(parents=True)
    other.write_text("another a")

    assert lmx_rag("ingest", other) == 1
    assert f"came from {notes / 'a.md'}" in capsys.readouterr().err
    assert lmx_rag("ingest", other, "--force") == 0
    assert rag.collections["default"]["notes/a.md"]["text"] == "another a"


def test_what_the_server_watches_itself_is_left_to_it(lmx_rag: Run, rag: FakeRag, notes: Path) -> None:
    watched = {"id": "notes/a.md", "metadata": {"watched": str(notes)}, "text": ""}
    rag.collections["default"] = {"notes/a.md": watched}

    assert lmx_rag("ingest", notes) == 0
    assert "a.md" not in rag.uploads()


def test_a_file_that_cannot_be_opened_is_one_that_failed(
    lmx_rag: Run, notes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lmx_rag.commands.files.SourceFile.fingerprint", refuse)

    assert lmx_rag("ingest", notes / "a.md") == 1
    assert "a.md: Permission denied" in capsys.readouterr().err


def test_a_file_whose_name_is_no_text_is_one_that_failed(
    lmx_rag: Run, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        (notes / os.fsdecode(b"\xff.md")).write_text("x")
    except OSError:
        pytest.skip("this file system takes only names that are text")

    assert lmx_rag("ingest", notes) == 1
    assert "\N{REPLACEMENT CHARACTER}.md: " in capsys.readouterr().err


def test_a_name_that_would_spoil_a_line_is_told_in_one(
    lmx_rag: Run, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (notes / "two\nlines.md").write_text("x")

    assert lmx_rag("ingest", notes) == 1
    assert "two\N{REPLACEMENT CHARACTER}lines.md: its name cannot be printed; rename it\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    "refusal",
    [
        (400, "invalid_value", "chunk_size"),
        (404, "model_not_found", "model"),
        (409, "embedding_model_mismatch", "model"),
        (507, "insufficient_storage", None),
    ],
)
def test_what_every_file_would_be_refused_for_ends_it_at_once(
    lmx_rag: Run, rag: FakeRag, notes: Path, refusal: tuple[int, str, str | None]
) -> None:
    status, code, param = refusal
    refused = status, {"error": {"code": code, "message": "no", "param": param}}
    rag.failures["/v1/rag/documents"] = [refused] * 3

    assert lmx_rag("ingest", notes, "--jobs", "1") == 1
    assert len(rag.uploads()) == 1


def test_a_wrong_key_ends_it_at_once(lmx_rag: Run, rag: FakeRag, notes: Path) -> None:
    rag.failures["/v1/rag/documents"] = [error(401, "invalid_api_key", "no such key")] * 3

    assert lmx_rag("ingest", notes, "--jobs", "1") == 1
    assert len(rag.uploads()) == 1


def test_an_unavailable_model_is_the_failure_of_a_file_as_long_as_the_server_answers(
    lmx_rag: Run, rag: FakeRag, notes: Path
) -> None:
    rag.failures["a.md"] = [error(503, "embedding_unavailable", "no model embeds")]

    assert lmx_rag("ingest", notes) == 1
    assert len(rag.collections["default"]) == 2


def test_a_busy_server_is_asked_again(lmx_rag: Run, rag: FakeRag, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PAUSES_S", (0.0, 0.0))
    rag.failures["a.md"] = [error(429, "rate_limit_exceeded", "busy")] * 2

    assert lmx_rag("ingest", notes) == 0
    assert len(rag.collections["default"]) == 3


def test_prune_deletes_documents_whose_files_are_gone(
    lmx_rag: Run, lmx_rag_json: Any, rag: FakeRag, notes: Path
) -> None:
    lmx_rag("ingest", notes)
    (notes / "ü c.txt").unlink()
    (notes / "a.md").unlink()

    report = lmx_rag_json("ingest", notes, "--prune")

    assert report["pruned"] == ["notes/a.md", "notes/ü c.txt"]
    assert list(rag.collections["default"]) == ["notes/b.md"]


def test_without_any_file_it_says_so(lmx_rag: Run, notes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lmx_rag("ingest", notes, "--glob", "*.pdf") == 1
    assert "no file there is to be ingested" in capsys.readouterr().err


def test_an_interrupt_says_how_to_go_on(
    lmx_rag: Run, rag: FakeRag, notes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_outcome: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lmx_rag.commands.ingest.lines", lambda *_, **__: _given(interrupted))

    before = threading.active_count()

    status = lmx_rag("ingest", notes, "--jobs", "1")

    assert status == 130
    assert "the same command goes on from there" in capsys.readouterr().err
    assert threading.active_count() < before + 20
    assert lmx_rag("ingest", notes, "--force") == 130
    assert "a.md" in rag.uploads()


def _given(value: object) -> Any:
    from contextlib import nullcontext

    return nullcontext(value)


def test_a_terminal_shows_a_bar(
    lmx_rag: Run, notes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)

    assert lmx_rag("ingest", notes) == 0

    written = capsys.readouterr()
    assert "3/3" in written.err
    assert "chunks" in written.out

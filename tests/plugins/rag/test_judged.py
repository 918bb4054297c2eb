from pathlib import Path

import pytest

from lmx_hookspecs.errors import InvalidRequest
from lmx_rag.commands.judged import CorpusDocument, read_corpus, read_judgements, read_queries


def test_queries_are_an_id_a_tab_and_a_text(tmp_path: Path) -> None:
    (tmp_path / "queries").write_text("1\twhat is a\ttab?\n\nq2\tÜber\n", encoding="utf-8")

    assert read_queries(tmp_path / "queries") == {"1": "what is a\ttab?", "q2": "Über"}


def test_judgements_are_grades_by_query_and_document(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("1 0 d1 2\n1\t0\td2\t0\n2 Q0 d1 -1\n")

    assert read_judgements(tmp_path / "qrels") == {"1": {"d1": 2, "d2": 0}, "2": {"d1": -1}}


def test_a_corpus_is_json_lines_whose_title_may_be_missing(tmp_path: Path) -> None:
    (tmp_path / "corpus").write_text('{"id": "a", "title": "A", "text": "x"}\n{"id": "b", "text": "y"}\n')

    assert list(read_corpus(tmp_path / "corpus")) == [
        CorpusDocument(id="a", title="A", text="x"),
        CorpusDocument(id="b", title="", text="y"),
    ]


@pytest.mark.parametrize(
    ("read", "text", "told"),
    [
        (read_queries, "1\ta\n2 no tab\n", "file:2: a query is"),
        (read_queries, "1\ta\n1\tb\n", "file:2: the query 1 is there already"),
        (read_judgements, "1 0 d\n", "file:1: a judgement is four columns"),
        (read_judgements, "1 0 d good\n", "file:1: a judgement is four columns"),
        (lambda file: list(read_corpus(file)), '{"id": 1, "text": "x"}\n', "file:1: a document is"),
        (lambda file: list(read_corpus(file)), "[1]\n", "file:1: a document is"),
    ],
)
def test_a_wrong_line_is_an_error_with_its_place(read: object, text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text)

    with pytest.raises(InvalidRequest, match=told):
        read(tmp_path / "file")  # type: ignore[operator]


@pytest.mark.parametrize("data", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_a_clear_error(data: bytes | None, tmp_path: Path) -> None:
    if data is not None:
        (tmp_path / "file").write_bytes(data)

    with pytest.raises(InvalidRequest, match="cannot read"):
        read_queries(tmp_path / "file")

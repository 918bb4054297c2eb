from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fake_rag_server import FakeRag

Run = Callable[..., int]


@pytest.fixture
def judged(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Queries, judgements and a corpus: the first query finds its document first, the second one finds it second."""
    queries, qrels, corpus = (tmp_path / name for name in ("queries.tsv", "qrels.txt", "corpus.jsonl"))
    queries.write_text("1\tred apple\n2\tgreen pear\n3\tnobody judged this\n")
    qrels.write_text("1 0 a 1\n1 0 b 0\n2 0 b 1\n4 0 b 1\n")
    corpus.write_text('{"id": "a", "text": "red apple green pear"}\n{"id": "b", "text": "pear"}\n')
    return queries, qrels, corpus


def test_modes_stand_side_by_side(
    lmx_rag: Run, judged: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    queries, qrels, corpus = judged

    assert lmx_rag("eval", queries, qrels, "--corpus", corpus, "-c", "judged") == 0

    written = capsys.readouterr()
    lines = [line.split() for line in written.out.splitlines()]
    assert lines[0] == ["MODE", "NDCG@10", "RECALL@100", "MRR"]
    assert lines[1] == ["vector", "0.8155", "1.0000", "0.7500"]  # (1 + 1/log2(3)) / 2, and (1 + 1/2) / 2
    assert [line[0] for line in lines[1:4]] == ["vector", "keyword", "hybrid"]
    assert "means of 2 queries" in written.out
    assert "without hybrid+rerank: no model reranks here" in written.err


def test_reranking_that_was_asked_for_must_work(lmx_rag: Run, judged: tuple[Path, Path, Path]) -> None:
    assert lmx_rag("eval", *judged[:2], "--mode", "hybrid+rerank") == 1


def test_documents_behind_the_reranked_ones_keep_their_order(
    lmx_rag_json: Any, rag: FakeRag, judged: tuple[Path, Path, Path]
) -> None:
    queries, qrels, corpus = judged

    report = lmx_rag_json("eval", queries, qrels, "--corpus", corpus, "--rerank-model", "m", "--mode", "hybrid+rerank")

    assert report["modes"]["hybrid+rerank"]["recall@100"] == 1.0
    asked = [body for _, path, body in rag.requests if path == "/v1/rag/query"]
    assert [body.get("rerank_initial_k") for body in asked].count(50) == 2


def test_queries_without_any_judgement_are_an_error(
    lmx_rag: Run, tmp_path: Path, judged: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "none.txt").write_text("9 0 a 1\n")

    assert lmx_rag("eval", judged[0], tmp_path / "none.txt") == 1
    assert "judges no document relevant" in capsys.readouterr().err


def test_the_corpus_goes_in_by_batches_with_ids_and_titles(
    lmx_rag: Run, rag: FakeRag, tmp_path: Path, judged: tuple[Path, Path, Path]
) -> None:
    lines = [f'{{"id": "{number}", "title": "t", "text": "x"}}' for number in range(120)]
    (tmp_path / "large.jsonl").write_text("\n".join(lines))

    lmx_rag("eval", *judged[:2], "--corpus", tmp_path / "large.jsonl")

    sizes = [len(body["documents"]) for _, path, body in rag.requests if path == "/v1/rag/ingest"]
    assert sizes == [50, 50, 20]

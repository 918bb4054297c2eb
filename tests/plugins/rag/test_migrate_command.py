import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fake_rag_server import FakeRag


def entry(number: int, **facts: Any) -> dict[str, Any]:
    usual = {"id": f"{number:012x}", "text": f"text {number}", "embedding": [0.5], "metadata": {"n": number}}
    return {**usual, "collection": "c", "created_at": 1.0, **facts}


def test_the_texts_of_an_earlier_store_are_stored_under_their_ids(
    lmx_rag_json: Callable[..., Any], rag: FakeRag, tmp_path: Path
) -> None:
    store = tmp_path / "rag-store.json"
    many = [entry(number) for number in range(60)]
    store.write_text(json.dumps({"c": [*many, entry(3), entry(99, text=" ")], "none": [], "d": [entry(1)]}))

    answer = lmx_rag_json("migrate", store)

    assert answer == {"collections": {"c": 60, "d": 1}}
    assert rag.collections["c"]["000000000003"] == {
        "id": "000000000003",
        "title": "",
        "metadata": {"n": 3},
        "text": "text 3",
    }
    sent = [body for _, path, body in rag.requests if path == "/v1/rag/ingest"]
    assert [len(body["documents"]) for body in sent] == [50, 10, 1]
    assert all((body["chunk_size"], body["skip_unchanged"]) == (2048, True) for body in sent)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"c": [{"text": "x"}]}', '{"c": [{"id": "", "text": "x"}]}', "[" * 100_000]
)
def test_a_file_that_is_no_store_is_refused_by_name(
    lmx_rag: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "x.json").write_text(text)

    assert lmx_rag("migrate", tmp_path / "x.json") == 1
    assert "x.json" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_told(
    lmx_rag: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lmx_rag("migrate", tmp_path / "gone.json") == 1
    assert "cannot read" in capsys.readouterr().err

"""The store of the earlier system, taken in at a start."""

import array
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lmx.kernel import Kernel
from lmx.retrieval.legacy import entries_of, likeness
from lmx_hookspecs import EmbeddingRequest
from lmx_hookspecs.queries import RetrieveRequest
from retrieval_support import retrieving
from worker_support import until

pytest.importorskip("tokenizers")

TEXTS = ("a blue sea", "a red roof", "   ")


def entry(place: int, embedding: Sequence[float]) -> dict[str, Any]:
    return {
        "id": f"e{place}",
        "collection": "old",
        "text": TEXTS[place],
        "embedding": list(embedding),
        "metadata": {"source": "x"},
        "created_at": 1700000000.0,
    }


def lay_down(folder: Path, stored: Any) -> Path:
    file = folder / "rag" / "to-import" / "rag-store.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(stored))
    return file


async def taken_in(kernel: Kernel, file: Path) -> None:
    await until(lambda: not file.exists())
    assert file.with_name("rag-store.json.imported").is_file()
    info = await kernel.retrieval.store.collection("old")
    assert info.documents == 2
    found = await kernel.retrieval.retrieve(RetrieveRequest(query="blue sea", collections=["old"]))
    assert found.found[0].hit.document_id == "e0"
    assert found.found[0].hit.metadata == {"source": "x", "created_at": 1700000000.0}
    assert found.found[0].hit.chunk.tokens


async def test_vectors_of_our_model_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "first").mkdir()
    async with retrieving(tmp_path / "first", monkeypatch) as kernel:
        made = await kernel.embed(EmbeddingRequest(model="echo", inputs=list(TEXTS[:2])))
    doubled = [[2 * number for number in vector] for vector in made.vectors]
    file = lay_down(tmp_path, {"old": [entry(0, doubled[0]), entry(1, doubled[1]), entry(2, doubled[0])]})

    async with retrieving(tmp_path, monkeypatch) as kernel:
        await taken_in(kernel, file)
        question = RetrieveRequest(query="sea", collections=["old"], with_embeddings=True)
        found = await kernel.retrieval.retrieve(question)

    first = next(one.hit.chunk.embedding for one in found.found if one.hit.document_id == "e0")
    assert list(array.array("f", first)) == pytest.approx(doubled[0]), "not made anew, which would halve it"


@pytest.mark.parametrize("embedding", [[], [1.0, 2.0], [0.5] * 8])
async def test_other_vectors_are_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embedding: list[float]
) -> None:
    file = lay_down(tmp_path, {"old": [entry(0, embedding), entry(1, embedding)]})

    async with retrieving(tmp_path, monkeypatch) as kernel:
        await taken_in(kernel, file)


async def test_a_file_that_is_none_is_left_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = lay_down(tmp_path, ["no", "store"])

    async with retrieving(tmp_path, monkeypatch) as kernel:
        opening = kernel.retrieval._opening
        assert opening is not None
        await opening

    assert file.is_file()


def test_what_has_no_text_is_left_out_and_a_later_entry_replaces_one_of_its_id(tmp_path: Path) -> None:
    later = {**entry(0, []), "text": "later"}
    file = lay_down(tmp_path, {"old": [entry(0, []), entry(2, []), later], "blank": [entry(2, [])]})

    assert [(one.id, one.text) for one in entries_of(file)["old"]] == [("e0", "later")]
    assert list(entries_of(file)) == ["old"]


def test_vectors_of_other_lengths_are_not_alike() -> None:
    assert likeness([1.0], [1.0, 0.0]) == 0.0
    assert likeness([1.0, 1.0], [2.0, 2.0]) == pytest.approx(1.0)
    assert likeness([0.0], [0.0]) == 0.0

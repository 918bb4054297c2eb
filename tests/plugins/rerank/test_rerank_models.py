"""Tiny models with random weights, through torch, transformers and the ONNX runtime."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lmx.workers.reranking import backend_of
from lmx_hookspecs import ModelInfo, RerankRequest
from lmx_hookspecs.errors import EngineFailed
from lmx_hookspecs.testing import FakeContext, check_reranker
from lmx_rerank import lmx_rerankers
from lmx_rerank.config import RerankConfig
from lmx_rerank.loading import load
from rerank_support import (
    DOCUMENTS,
    LONGEST,
    QUERY,
    standing_order,
    write_colbert,
    write_cross_encoder,
    write_flashrank,
)

pytest.importorskip("rerankers")
pytest.importorskip("transformers")

KINDS: Mapping[str, tuple[str, ...]] = {
    "cross-encoder": ("torch",),
    "colbert": ("torch",),
    "flashrank": ("flashrank", "onnx"),
}
WRITERS = {"cross-encoder": write_cross_encoder, "colbert": write_colbert, "flashrank": write_flashrank}
pytestmark = pytest.mark.filterwarnings("ignore")  # what these libraries warn of is between them


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rerankers")


def model(kind: str, folders: Path) -> ModelInfo:
    for module in KINDS[kind]:
        pytest.importorskip(module)
    folder = folders / kind
    if not folder.exists():
        WRITERS[kind](folder)
    return ModelInfo(id=kind, format=kind, path=folder, context_length=LONGEST)


def context(**facts: Any) -> FakeContext:
    return FakeContext(config=RerankConfig(device="cpu", **facts))


def tokens(*texts: str) -> int:
    """Words, and the marks around each text."""
    return sum(len(text.split()) for text in texts)


@pytest.fixture(params=list(KINDS))
def loaded(request: pytest.FixtureRequest, folders: Path) -> Any:
    return load(context(), model(request.param, folders))


@pytest.mark.parametrize("kind", list(KINDS))
def test_each_kind_keeps_the_contract(kind: str, folders: Path) -> None:
    (spec,) = lmx_rerankers()

    check_reranker(spec, model(kind, folders), RerankConfig(device="cpu"))


def test_every_document_has_its_score_whatever_comes_with_it(loaded: Any) -> None:
    together = loaded.rerank(QUERY, DOCUMENTS)
    alone = [loaded.rerank(QUERY, [document])[0] for document in DOCUMENTS]
    backwards = loaded.rerank(QUERY, DOCUMENTS[::-1])[::-1]

    assert standing_order(together) == standing_order(alone) == standing_order(backwards)
    assert together == pytest.approx(backwards, abs=1e-4)
    assert len(set(together)) == len(DOCUMENTS)


def test_texts_beyond_what_the_model_takes_are_cut_off(loaded: Any) -> None:
    scores = loaded.rerank("cat " * 500, ["dog " * 500, "mat"])

    assert len(scores) == 2
    assert loaded.count_tokens("cat " * 500, ["dog " * 500]) <= 2 * LONGEST


def test_empty_documents_have_a_score_too(loaded: Any) -> None:
    assert len(loaded.rerank(QUERY, ["", "cat"])) == 2


def test_it_says_what_it_runs_on(loaded: Any) -> None:
    assert "cpu" in loaded.describe()["device"].lower()
    assert loaded.describe()["max_length"] <= LONGEST


@pytest.mark.parametrize(
    ("kind", "counted"),
    [
        ("cross-encoder", sum(tokens(QUERY, document) + 3 for document in DOCUMENTS)),
        ("colbert", sum(tokens(text) + 3 for text in (QUERY, *DOCUMENTS))),
        ("flashrank", sum(tokens(QUERY, document) + 3 for document in DOCUMENTS)),
    ],
)
def test_tokens_are_counted_by_the_tokenizer(kind: str, counted: int, folders: Path) -> None:
    ranker: Any = load(context(), model(kind, folders))

    ranker.rerank(QUERY, DOCUMENTS)

    assert ranker.count_tokens(QUERY, DOCUMENTS) == counted


@pytest.mark.parametrize("kind", list(KINDS))
def test_less_is_read_where_the_configuration_says_so(kind: str, folders: Path) -> None:
    ranker: Any = load(context(max_length=16), model(kind, folders))

    long, cut = "cat " * 12, "cat " * 12 + "money " * 5
    assert ranker.describe()["max_length"] == 16
    assert ranker.count_tokens("red", [cut * 3]) <= 32
    assert len(ranker.rerank("red", [long, cut])) == 2


async def test_the_kernels_backend_ranks_with_it(folders: Path) -> None:
    info = model("cross-encoder", folders)
    (spec,) = lmx_rerankers()
    engine = backend_of(spec).load(context(batch_size=2), info)

    answer = await engine.rerank(RerankRequest(model="m", query=QUERY, documents=DOCUMENTS, top_n=3))

    scores: Sequence[float] = load(context(), info).rerank(QUERY, DOCUMENTS)
    assert [one.index for one in answer.results] == standing_order(scores)[:3]
    assert answer.total_tokens == sum(tokens(QUERY, document) + 3 for document in DOCUMENTS)
    assert engine.steps() == 3
    await engine.close()


def test_vectors_of_any_length_are_projected_to_whatever_the_folder_is_called(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    folder = write_colbert(tmp_path / "answerai-colbert-small", dimensions=40)

    ranker: Any = load(context(), ModelInfo(id="m", format="colbert", path=folder))

    assert ranker.describe()["dimensions"] == 40


def test_the_weights_of_colbert_are_those_of_the_file(folders: Path) -> None:
    pytest.importorskip("torch")
    from safetensors.torch import load_file

    ranker: Any = load(context(), model("colbert", folders))

    stored = load_file(folders / "colbert" / "model.safetensors")
    held = ranker.ranker.model.state_dict()
    assert all(held[name].equal(stored[name]) for name in stored)


def test_a_model_that_tells_classes_apart_is_no_cross_encoder(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    folder = write_cross_encoder(tmp_path / "judge", labels=3)

    with pytest.raises(EngineFailed, match="tells 3 classes apart"):
        load(context(), ModelInfo(id="m", format="cross-encoder", path=folder))


def test_a_head_that_is_not_in_the_files_is_not_made_up(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    weights = write_cross_encoder(tmp_path / "headless") / "model.safetensors"
    kept = {name: value for name, value in load_file(weights).items() if not name.startswith("classifier")}
    save_file(kept, weights, metadata={"format": "pt"})

    with pytest.raises(EngineFailed, match=r"hold no classifier\.weight, classifier\.bias"):
        load(context(), ModelInfo(id="m", format="cross-encoder", path=weights.parent))

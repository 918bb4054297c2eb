"""lmx-tiny-embed puts alike what is alike, keeps within its size, and carries its licence."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from lmx_hookspecs import ModelInfo
from lmx_static.engine import StaticEngine, opened
from training_modules import loaded

FOLDER = Path(__file__).parents[3] / "plugins" / "tiny" / "lmx_tiny" / "models" / "lmx-tiny-embed"
LIMIT_BYTES = 9_000_000


@pytest.fixture(scope="module")
def engine() -> StaticEngine:
    return opened(ModelInfo(id="lmx-tiny-embed", format="static-embedding", path=FOLDER))


def figures(dimensions: int) -> Mapping[str, float]:
    evaluation = loaded("evaluate_embedder")
    result: Mapping[str, float] = evaluation.measure(evaluation.shipped(dimensions))
    return result


def test_similarities_are_those_of_the_teacher_and_answers_are_found() -> None:
    whole = figures(256)

    assert whole["teacher_correlation"] >= 0.80
    assert whole["paraphrase_first"] >= 0.72
    assert whole["general_first"] >= 0.55
    assert whole["general_top5"] >= 0.82
    assert whole["facts_first"] >= 0.33
    assert whole["facts_top5"] >= 0.56


def test_half_the_dimensions_are_nearly_as_good() -> None:
    half = figures(128)

    assert half["teacher_correlation"] >= 0.79
    assert half["general_top5"] >= 0.80
    assert half["facts_top5"] >= 0.53


def test_a_measure_of_chance_fails_the_floors() -> None:
    evaluation = loaded("evaluate_embedder")
    generator = np.random.default_rng(1)

    def by_chance(texts: list[str]) -> object:
        vectors = generator.standard_normal((len(texts), 16))
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    chance = evaluation.measure(by_chance)

    assert chance["teacher_correlation"] < 0.3
    assert chance["general_top5"] < 0.4
    assert chance["facts_top5"] < 0.2


def test_every_token_has_a_vector_and_what_is_unknown_hardly_counts(engine: StaticEngine) -> None:
    table = engine.table
    vocabulary = engine.reader.tokenizer.get_vocab()
    norms = np.linalg.norm(table.embeddings.astype(np.float32) * table.scales[:, None], axis=1)

    assert sorted(vocabulary.values()) == list(range(table.rows))
    assert norms.min() > 0
    assert norms[vocabulary["[UNK]"]] < 1e-3 * np.median(norms)


def test_the_model_has_at_most_nine_megabytes_in_eight_bits(engine: StaticEngine) -> None:
    config = json.loads((FOLDER / "config.json").read_text())

    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= LIMIT_BYTES
    assert engine.table.embeddings.dtype == np.int8
    assert engine.table.embeddings.shape == (config["vocab_size"], config["hidden_size"])
    assert config["max_sequence_length"] == engine.reader.max_tokens == 8192


def test_the_teacher_and_its_licence_are_named_beside_the_model() -> None:
    notice = (FOLDER / "NOTICE").read_text()

    assert "sentence-transformers/all-MiniLM-L6-v2" in notice
    assert "Apache License" in notice

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten
from mlx_lm.models import qwen3

from encoder_reference import nomic_reference, reference
from encoder_support import BERT, NOMIC, ROBERTA, write_encoder
from lmx_hookspecs import EmbeddingStepEngine, ModelInfo
from lmx_hookspecs.errors import InvalidRequest, LmxError, UnsupportedParameter
from lmx_mlx.need import memory_need
from mlx_support import SHAPE, embedding_engine_of, prompt_of, request_of, write_tokenizer

TEXTS = [prompt_of(length, seed=length) for length in (7, 1, 40, 12, 128)]
ST = "sentence_transformers.models."


def write_pooling(folder: Path, *modes: str, modules: Sequence[str] = ("Transformer", "Pooling", "Normalize")) -> None:
    (folder / "1_Pooling").mkdir(exist_ok=True)
    config = {f"pooling_mode_{mode}": mode in modes for mode in ("cls_token", "mean_tokens", "max_tokens", "lasttoken")}
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps(config | {f"pooling_mode_{mode}": True for mode in modes})
    )
    (folder / "modules.json").write_text(json.dumps([{"type": f"{ST}{module}"} for module in modules]))


def test_nomics_encoder_too(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "nomic", NOMIC)
    engine = embedding_engine_of(folder)

    vectors = engine.embed(TEXTS)

    for tokens, vector in zip(TEXTS, vectors, strict=True):
        expected = nomic_reference(folder, tokens).mean(0)
        assert np.allclose(vector, expected / np.linalg.norm(expected), atol=1e-4)
    assert engine.describe().context_length == 2048


def test_a_variant_of_nomics_encoder_is_refused_by_name(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "nomic", NOMIC)
    (folder / "config.json").write_text(json.dumps({**NOMIC, "num_experts": 8}))

    with pytest.raises(LmxError, match="num_experts 8 is not supported"):
        embedding_engine_of(folder)


POOLS: Mapping[str, Callable[[Any], Any]] = {
    "mean_tokens": lambda states: states.mean(0),
    "cls_token": lambda states: states[0],
    "max_tokens": lambda states: states.max(0),
    "lasttoken": lambda states: states[-1],
}


@pytest.mark.parametrize("config", [BERT, ROBERTA])
@pytest.mark.parametrize("mode", POOLS)
def test_vectors_are_those_of_the_paper(tmp_path: Path, config: Mapping[str, Any], mode: str) -> None:
    folder = write_encoder(tmp_path / "encoder", config)
    write_pooling(folder, mode)

    vectors = embedding_engine_of(folder).embed(TEXTS)

    for tokens, vector in zip(TEXTS, vectors, strict=True):
        expected = POOLS[mode](reference(folder, tokens))
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
        assert np.allclose(vector, expected / np.linalg.norm(expected), atol=1e-4)


def test_a_vector_does_not_depend_on_what_is_embedded_with_it(tmp_path: Path) -> None:
    engine = embedding_engine_of(write_encoder(tmp_path / "encoder"))

    together, alone = engine.embed(TEXTS), [engine.embed([tokens])[0] for tokens in TEXTS]

    assert np.allclose(together, alone, atol=1e-5)
    assert np.linalg.norm(np.subtract(together[0], together[3])) > 0.1
    assert engine.describe().details["embedded"] == 2 * len(TEXTS)


def test_many_texts_take_several_passes_and_keep_their_order(tmp_path: Path) -> None:
    engine = embedding_engine_of(write_encoder(tmp_path / "encoder"))
    texts = [prompt_of(1 + (number * 37) % 128, seed=number) for number in range(150)]

    vectors = engine.embed(texts)

    assert np.allclose(vectors[77], engine.embed([texts[77]])[0], atol=1e-5)
    assert np.allclose(vectors[149], engine.embed([texts[149]])[0], atol=1e-5)


def test_a_model_without_a_normalising_module_keeps_its_lengths(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder")
    write_pooling(folder, "mean_tokens", modules=("Transformer", "Pooling"))

    (vector,) = embedding_engine_of(folder).embed(TEXTS[:1])

    assert np.allclose(vector, reference(folder, TEXTS[0]).mean(0), atol=1e-4)


@pytest.mark.parametrize("prefix", ["bert.", "roberta."])
def test_checkpoints_of_whole_tasks_load_without_their_heads(tmp_path: Path, prefix: str) -> None:
    folder = write_encoder(tmp_path / "encoder", prefix=prefix)

    (vector,) = embedding_engine_of(folder).embed(TEXTS[:1])

    expected = reference(folder, TEXTS[0], prefix=prefix).mean(0)
    assert np.allclose(vector, expected / np.linalg.norm(expected), atol=1e-4)


def test_sixteen_bit_weights_become_float32_on_the_cpu(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder", dtype=mx.float16)

    engine = embedding_engine_of(folder)

    expected = reference(folder, TEXTS[0]).mean(0)
    assert engine.describe().details["dtypes"] == ["float32"]
    assert np.allclose(engine.embed(TEXTS[:1])[0], expected / np.linalg.norm(expected), atol=1e-4)


def write_decoder(folder: Path, *, prefix: str) -> Path:
    """As Qwen3-Embedding is published: the decoder alone, its names without `model.`."""
    folder.mkdir()
    mx.random.seed(9)
    config = {**SHAPE, "model_type": "qwen3", "rope_theta": 1e6, "tie_word_embeddings": True}
    network = qwen3.Model(qwen3.ModelArgs.from_dict(config))
    weights = {name.replace("model.", prefix, 1): array for name, array in tree_flatten(network.parameters())}
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    (folder / "config.json").write_text(json.dumps(config | {"matryoshka_dimensions": [16, 64]}))
    write_tokenizer(folder)
    return folder


@pytest.mark.parametrize("prefix", ["", "model."])
def test_a_decoder_gives_the_state_of_its_last_token(tmp_path: Path, prefix: str) -> None:
    folder = write_decoder(tmp_path / "decoder", prefix=prefix)
    write_pooling(folder, "lasttoken")
    engine = embedding_engine_of(folder)
    arrays: Any = mx.load(str(folder / "model.safetensors"))
    network = qwen3.Model(qwen3.ModelArgs.from_dict(json.loads((folder / "config.json").read_text())))
    network.load_weights([(f"model.{name.removeprefix('model.')}", array) for name, array in arrays.items()])

    vectors = engine.embed(TEXTS)

    for tokens, vector in zip(TEXTS, vectors, strict=True):
        expected = np.array(network.model(mx.array([tokens])))[0, -1]
        assert np.allclose(vector, expected / np.linalg.norm(expected), atol=1e-4)
    assert engine.describe().details["matryoshka"] is True
    assert engine.describe().context_length == SHAPE["max_position_embeddings"]


def test_what_it_is_and_needs(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder", ROBERTA)
    engine = embedding_engine_of(folder)
    description = engine.describe()

    assert isinstance(engine, EmbeddingStepEngine)
    assert description.capabilities == {"embed", "token_prompts"}
    assert description.context_length == 128
    assert description.details["dimensions"] == 48
    assert (description.details["pooling"], description.details["matryoshka"]) == ("mean_tokens", False)
    need = memory_need(ModelInfo(id="e", format="safetensors", path=folder))
    assert description.details["weight_bytes"] <= need.weight_bytes < 1.2 * description.details["weight_bytes"]
    assert need.kv_bytes_per_token == 0
    engine.trim()
    engine.close()


def test_the_context_is_what_the_model_was_made_for(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder")
    before = embedding_engine_of(folder).describe().context_length
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 64}))

    assert before == 130
    assert embedding_engine_of(folder).describe().context_length == 64
    assert embedding_engine_of(folder, context_length=32).describe().context_length == 32


def test_it_makes_no_text(tmp_path: Path) -> None:
    engine = embedding_engine_of(write_encoder(tmp_path / "encoder"))

    with pytest.raises(InvalidRequest, match="no text"):
        engine.add(1, request_of([1, 2]))
    engine.cancel(1)
    assert engine.step() == ()


@pytest.mark.parametrize("settings", [{"kv_bits": 8}, {"prompt_lookup": True}, {"draft_model": "d"}])
def test_settings_of_text_are_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedParameter, match="makes embeddings") as refused:
        embedding_engine_of(write_encoder(tmp_path / "encoder"), **settings)

    assert refused.value.param in settings


def with_dense(folder: Path) -> None:
    write_pooling(folder, "mean_tokens", modules=("Transformer", "Pooling", "Dense", "Normalize"))


def judge(folder: Path) -> None:
    config = {**BERT, "architectures": ["BertForSequenceClassification"]}
    (folder / "config.json").write_text(json.dumps(config))


def relative(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({**BERT, "position_embedding_type": "relative_key"}))


def no_vocabulary(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({k: v for k, v in BERT.items() if k != "vocab_size"}))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (with_dense, "modules of the types Dense"),
        (lambda folder: write_pooling(folder, "weightedmean_tokens"), "the pooling weightedmean_tokens"),
        (lambda folder: write_pooling(folder, "mean_tokens", "cls_token"), "cls_token and mean_tokens"),
        (lambda folder: (folder / "modules.json").write_text("{"), r"modules\.json cannot be read"),
        (judge, "BertForSequenceClassification"),
        (relative, "position_embedding_type relative_key"),
        (no_vocabulary, "vocab_size"),
        (lambda folder: (folder / "config.json").write_text(json.dumps({**BERT, "hidden_size": 64})), "shape"),
        (lambda folder: (folder / "config.json").write_text(json.dumps({**BERT, "num_hidden_layers": 4})), "layer.3"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), "cannot be loaded"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\xa5" * 999), "cannot be loaded"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no safetensors"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "cannot be loaded"),
    ],
)
def test_a_model_that_cannot_be_used_says_why(tmp_path: Path, damage: Callable[[Path], object], words: str) -> None:
    folder = write_encoder(tmp_path / "encoder")
    damage(folder)

    with pytest.raises(LmxError, match=words):
        embedding_engine_of(folder)

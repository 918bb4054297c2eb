import json
import os
from pathlib import Path
from typing import Any

import pytest

from lmx_hookspecs import Capability, ModelInfo
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.model_files import check_model_id, look, models_in, refuse_remote_code
from model_folders import gguf_file, safetensors_model


def read(folder: Path, model_id: str = "org/name") -> list[ModelInfo]:
    return models_in(look(folder, folder.resolve()), model_id=model_id, source="test")


def test_a_hugging_face_folder_is_a_model_with_its_facts(tmp_path: Path) -> None:
    safetensors_model(
        tmp_path,
        size_bytes=1234,
        architectures=["LlamaForCausalLM"],
        max_position_embeddings=8192,
        torch_dtype="float16",
        quantization={"bits": 4, "group_size": 64},
    )

    (model,) = read(tmp_path)

    assert (model.id, model.format, model.path) == ("org/name", "safetensors", tmp_path)
    assert (model.size_bytes, model.context_length, model.source) == (1234, 8192, "test")
    assert model.created == int((tmp_path / "model.safetensors").stat().st_mtime)
    assert model.details == {
        "architecture": "LlamaForCausalLM",
        "model_type": "llama",
        "dtype": "float16",
        "bits": 4,
    }


def test_a_multimodal_model_has_the_context_of_its_text_part(tmp_path: Path) -> None:
    safetensors_model(tmp_path, text_config={"max_position_embeddings": 4096})

    (model,) = read(tmp_path)

    assert model.context_length == 4096


@pytest.mark.parametrize(
    ("config", "modules", "embeds"),
    [({}, False, False), ({}, True, True), ({"model_type": "bert"}, False, True)],
)
def test_a_model_that_makes_vectors_is_told_from_one_that_makes_text(
    tmp_path: Path, config: dict[str, Any], modules: bool, embeds: bool
) -> None:
    safetensors_model(tmp_path, **config)
    if modules:
        (tmp_path / "modules.json").write_text("[]")

    (model,) = read(tmp_path)

    assert model.capabilities is not None
    assert (Capability.EMBED in model.capabilities) == embeds
    assert (Capability.CHAT in model.capabilities) == (not embeds)


ONE_LABEL = {"id2label": {"0": "LABEL_0"}}


@pytest.mark.parametrize(
    ("config", "format"),
    [
        ({"architectures": ["BertForSequenceClassification"], **ONE_LABEL}, "cross-encoder"),
        ({"architectures": ["Qwen3ForSequenceClassification"], "num_labels": 1}, "cross-encoder"),
        ({"architectures": ["BertForSequenceClassification"]}, "safetensors"),
        ({"architectures": ["BertForSequenceClassification"], "id2label": {"0": "no", "1": "yes"}}, "safetensors"),
        ({"architectures": ["BertModel"], **ONE_LABEL}, "safetensors"),
        ({"architectures": [], **ONE_LABEL}, "safetensors"),
    ],
)
def test_a_cross_encoder_has_a_format_of_its_own(tmp_path: Path, config: dict[str, Any], format: str) -> None:
    safetensors_model(tmp_path, **{"model_type": "bert", **config})

    (model,) = read(tmp_path)

    assert model.format == format
    assert (model.capabilities == frozenset({Capability.RERANK})) == (format == "cross-encoder")


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_without_configuration_or_weights_is_no_model(tmp_path: Path, missing: str) -> None:
    safetensors_model(tmp_path)
    (tmp_path / missing).unlink()

    assert read(tmp_path) == []


def test_a_model_is_left_out_while_a_file_of_its_index_is_missing(tmp_path: Path) -> None:
    safetensors_model(tmp_path)
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "model-1.safetensors").write_bytes(bytes(100))
    assert read(tmp_path) == []

    (tmp_path / "model-2.safetensors").write_bytes(bytes(50))

    assert [model.size_bytes for model in read(tmp_path)] == [150]


def test_a_model_is_left_out_while_a_numbered_part_is_missing(tmp_path: Path) -> None:
    safetensors_model(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "model-00001-of-00002.safetensors")

    assert read(tmp_path) == []


def test_a_gguf_file_is_a_model_that_keeps_its_suffix(tmp_path: Path) -> None:
    path = gguf_file(tmp_path / "small.Q4_K_M.gguf", size_bytes=77)

    (model,) = read(tmp_path)

    assert (model.id, model.format, model.path) == ("org/name/small.Q4_K_M.gguf", "gguf", path)
    assert model.size_bytes == 77


def test_a_split_gguf_model_is_listed_once_by_its_first_part(tmp_path: Path) -> None:
    for part in (1, 2, 3):
        gguf_file(tmp_path / f"big-{part:05}-of-00003.gguf", size_bytes=10)
    gguf_file(tmp_path / "cut-00001-of-00002.gguf")
    gguf_file(tmp_path / "odd-00001-of-00000.gguf")

    models = read(tmp_path)

    assert [model.id for model in models] == ["org/name/big-00001-of-00003.gguf", "org/name/odd-00001-of-00000.gguf"]
    assert models[0].size_bytes == 30


def test_the_projector_of_a_vision_model_is_no_model(tmp_path: Path) -> None:
    gguf_file(tmp_path / "mmproj-model-f16.gguf")

    assert read(tmp_path) == []


def test_links_that_lead_out_or_nowhere_are_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", safetensors_model(tmp_path / "outside")
    (root / "inside").mkdir(parents=True)
    (root / "way-out").symlink_to(outside)
    (root / "broken").symlink_to(root / "nowhere")
    (root / "circle").symlink_to(root / "circle")
    (root / "alias").symlink_to(root / "inside")

    folder = look(root, root.resolve())

    assert folder.folders == ["alias", "inside"]
    assert folder.files == {}


def test_names_that_cannot_be_printed_are_left_out(tmp_path: Path) -> None:
    for name in (b"not-\xff-utf8", b"two\nlines", "schön".encode()):
        safetensors_model(tmp_path / os.fsdecode(name))

    assert look(tmp_path, tmp_path.resolve()).folders == ["schön"]


@pytest.mark.parametrize(
    "model_id",
    ["", "..", "../x", "a/../b", "a/..", "./a", "/etc/passwd", "a//b", "a/", "a\\b", "C:\\x", "C:x", "~/x", "a\0b"],
)
def test_an_id_that_could_lead_out_of_the_folders_is_refused(model_id: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        check_model_id(model_id)

    assert refusal.value.param == "model"


@pytest.mark.parametrize("model_id", ["lmx-tiny", "org/name", "a.b_c-d/e/f.gguf", "..name", "modèle", "name:tag"])
def test_ordinary_ids_pass(model_id: str) -> None:
    check_model_id(model_id)


@pytest.mark.parametrize("key", ["auto_map", "model_file"])
def test_a_model_that_brings_code_is_listed_and_refused(tmp_path: Path, key: str) -> None:
    safetensors_model(tmp_path, size_bytes=10, **{key: "modeling_x.py"})

    (model,) = read(tmp_path)

    with pytest.raises(InvalidRequest, match="org/name wants remote code"):
        refuse_remote_code(model)


def test_a_tokenizer_that_brings_code_is_refused_too(tmp_path: Path) -> None:
    safetensors_model(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["tokenization_x.X", null]}}')

    (model,) = read(tmp_path)

    with pytest.raises(InvalidRequest, match="wants remote code"):
        refuse_remote_code(model)


def test_gguf_models_are_listed_with_what_their_headers_say() -> None:
    folder = Path(__file__).parents[2] / "plugins/tiny/lmx_tiny/models/lmx-tiny-gguf"

    (model,) = models_in(look(folder, folder), model_id="x", source="test")

    assert (model.id, model.context_length) == ("x/lmx-tiny.gguf", 8192)
    assert model.details == {"architecture": "llama"}
    assert model.capabilities is not None
    assert not model.capabilities & {Capability.EMBED, Capability.RERANK}
    assert Capability.CHAT in model.capabilities

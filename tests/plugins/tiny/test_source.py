from pathlib import Path

import pytest

import lmx_tiny
from lmx_hookspecs import Capability
from lmx_hookspecs.testing import FakeContext, FakeLogger, check_model_source, check_plugin
from lmx_tiny.source import TinySource
from model_folders import gguf_file, safetensors_model


def test_the_plugin_keeps_the_contract() -> None:
    offers = check_plugin(lmx_tiny)

    (spec,) = offers["lmx_model_sources"]
    check_model_source(spec.open(FakeContext()))


def test_both_forms_of_the_help_model_are_offered_as_what_they_are(tmp_path: Path) -> None:
    safetensors_model(tmp_path / "lmx-tiny", size_bytes=5, max_position_embeddings=8192)
    path = gguf_file(tmp_path / "lmx-tiny-gguf" / "lmx-tiny.gguf", size_bytes=7)

    safetensors, gguf = TinySource(tmp_path, FakeLogger()).models()

    assert (safetensors.id, safetensors.format, safetensors.path) == ("lmx-tiny", "safetensors", tmp_path / "lmx-tiny")
    assert (gguf.id, gguf.format, gguf.path) == ("lmx-tiny-gguf", "gguf", path)
    assert (safetensors.size_bytes, gguf.size_bytes) == (5, 7)
    for model in (safetensors, gguf):
        assert model.builtin
        assert model.context_length == 8192
        assert model.details["description"] == "a smoke-test and help model"
        assert not (model.capabilities or frozenset()) & {Capability.EMBED, Capability.RERANK}


def test_the_embedding_model_is_offered_in_its_own_format_for_embeddings_alone(tmp_path: Path) -> None:
    safetensors_model(tmp_path / "lmx-tiny-embed", size_bytes=5, max_sequence_length=8192)

    (model,) = TinySource(tmp_path, FakeLogger()).models()

    assert (model.id, model.format, model.path) == ("lmx-tiny-embed", "static-embedding", tmp_path / "lmx-tiny-embed")
    assert model.capabilities == frozenset({Capability.EMBED, Capability.TOKEN_PROMPTS})
    assert (model.builtin, model.context_length, model.sampling) == (True, 8192, {})


@pytest.mark.parametrize("present", ["lmx-tiny", "lmx-tiny-gguf", "lmx-tiny-embed"])
def test_a_model_whose_folder_is_missing_is_not_offered(tmp_path: Path, present: str) -> None:
    if present == "lmx-tiny-gguf":
        gguf_file(tmp_path / present / "weights.gguf")
    else:
        safetensors_model(tmp_path / present)

    assert [model.id for model in TinySource(tmp_path, FakeLogger()).models()] == [present]


def test_only_its_own_ids_are_found(tmp_path: Path) -> None:
    safetensors_model(tmp_path / "lmx-tiny")
    source = TinySource(tmp_path, FakeLogger())

    assert source.find("lmx-tiny") is not None
    assert source.find("lmx-tiny-gguf") is None
    assert source.find("other") is None


def test_a_damaged_model_is_left_out_and_the_log_says_what_to_do(tmp_path: Path) -> None:
    safetensors_model(tmp_path / "lmx-tiny")
    (tmp_path / "lmx-tiny" / "config.json").write_text("{")
    log = FakeLogger()

    models = TinySource(tmp_path, log).models()

    assert models == []
    ((level, event, facts),) = log.lines
    assert (level, event, facts["advice"]) == ("error", "builtin_model_damaged", "install opta-lmx again")

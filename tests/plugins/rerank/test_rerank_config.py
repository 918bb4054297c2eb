"""What `plugins.rerank` may say."""

from pathlib import Path
from typing import Any

import pytest

import lmx_rerank
from lmx.config.show import MASK, masked
from lmx.structure import StructureError, structure
from lmx_hookspecs import ModelInfo
from lmx_hookspecs.testing import check_plugin
from lmx_rerank.config import FORMATS, RerankConfig
from lmx_rerank.worker import worker_environment


def config(**models: dict[str, Any]) -> RerankConfig:
    made: RerankConfig = structure({"models": models}, RerankConfig)
    return made


def test_the_plugin_keeps_the_contract() -> None:
    offers = check_plugin(lmx_rerank)

    (spec,) = offers["lmx_rerankers"]
    assert (spec.name, spec.isolation) == ("rerank", "process")
    assert spec.formats == FORMATS == frozenset({"cross-encoder", "colbert", "flashrank", "rerank-api"})
    assert spec.environment()["HF_HUB_OFFLINE"] == "1"


def test_the_configuration_is_shown_without_keys() -> None:
    made = config(there={"type": "api", "name": "x", "provider": "jina", "api_key": "jina_secret"})

    shown = masked(made)

    assert shown["models"]["there"]["api_key"] == MASK
    assert "jina_secret" not in str(shown)


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "cross-encoder", "path": "/models/ce"},
        {"type": "cross-encoder", "name": "BAAI/bge-reranker-base", "max_length": 256},
        {"type": "colbert", "name": "colbert-ir/colbertv2.0", "device": "cpu", "dtype": "bfloat16"},
        {"type": "flashrank", "path": "/models/flash", "batch_size": 4},
        {"type": "api", "name": "rerank-v3.5", "provider": "cohere", "api_key_env": "COHERE"},
        {"type": "api", "name": "m", "url": "http://box:8000/v1/rerank"},
    ],
)
def test_each_kind_of_model_can_be_named(entry: dict[str, Any]) -> None:
    assert config(m=entry).models["m"].type == entry["type"]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"type": "cross-encoder"}, "either path or name has to say where its files are"),
        ({"type": "colbert", "path": "/a", "name": "b/c"}, "either path or name"),
        ({"type": "cross-encoder", "path": "/a", "provider": "jina"}, "provider, url and keys belong to type api"),
        ({"type": "flashrank", "name": "ms-marco"}, "path has to name the folder"),
        ({"type": "api", "provider": "jina"}, "name has to say what the API calls the model"),
        ({"type": "api", "name": "m"}, "provider or url has to say who is asked"),
        ({"type": "api", "name": "m", "provider": "tei"}, "url has to say where that runs"),
        ({"type": "api", "name": "m", "provider": "jina", "path": "/a"}, "an API has no files here"),
        ({"type": "api", "name": "m", "url": "box:8000"}, "must be an address"),
        ({"type": "api", "name": "m", "url": "http://u:p@box/v1/rerank"}, "must hold no user, password or query"),
        ({"type": "llm", "path": "/a"}, "cross-encoder"),
        ({"type": "cross-encoder", "path": "/a", "batch_size": 0}, "batch_size"),
    ],
)
def test_what_fits_no_kind_is_an_error_that_says_what_to_write(entry: dict[str, Any], problem: str) -> None:
    with pytest.raises(StructureError, match=problem):
        config(m=entry)


def test_a_model_has_the_general_keys_where_it_says_nothing_itself() -> None:
    made = RerankConfig(
        models=config(own={"type": "cross-encoder", "path": "/a", "device": "cuda", "batch_size": 2}).models,
        device="cpu",
        dtype="float16",
        max_length=128,
    )

    own, found = made.of("own", "cross-encoder"), made.of("from/a/folder", "cross-encoder")

    assert (own.device, own.batch_size, own.dtype, own.max_length) == ("cuda", 2, "float16", 128)
    assert (found.type, found.device, found.batch_size, found.path) == ("cross-encoder", "cpu", 16, Path())


@pytest.mark.parametrize(
    ("format", "dtype", "need_bytes"),
    [
        ("cross-encoder", "float32", 300_000_100),
        ("colbert", "float16", 300_000_200),
        ("flashrank", None, 100),
        ("rerank-api", None, 100),
    ],
)
def test_torch_and_widened_weights_are_reckoned_with_before_the_load(
    format: str, dtype: str | None, need_bytes: int
) -> None:
    (spec,) = lmx_rerank.lmx_rerankers()
    assert spec.memory_need is not None

    need = spec.memory_need(ModelInfo(id="m", format=format, size_bytes=100, details={"dtype": dtype}))

    assert need.weight_bytes == need_bytes


def test_a_core_is_left_to_others_unless_somebody_has_said_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert worker_environment()["OMP_NUM_THREADS"] == "7"

    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert "OMP_NUM_THREADS" not in worker_environment()

"""The models that the configuration names."""

import json
from pathlib import Path
from typing import Any

import pytest

from lmx_hookspecs import Capability, ModelInfo
from lmx_hookspecs.testing import FakeContext, check_model_source
from lmx_rerank.config import RerankConfig, RerankModel
from lmx_rerank.source import RerankSource

CONFIG = {"model_type": "bert", "architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}}


def weights(folder: Path, **config: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, "max_position_embeddings": 512, **config}))
    (folder / "model.safetensors").write_bytes(bytes(1000))
    return folder


def source_of(environment: dict[str, str] | None = None, **models: RerankModel) -> RerankSource:
    return RerankSource(FakeContext(config=RerankConfig(models=models)), environment or {})


def only(source: RerankSource) -> ModelInfo:
    (info,) = source.models()
    return info


def test_folders_and_apis_are_listed_under_the_ids_that_somebody_chose(tmp_path: Path) -> None:
    flash = tmp_path / "flash"
    flash.mkdir()
    (flash / "tiny.onnx").write_bytes(bytes(70))
    source = source_of(
        ce=RerankModel(type="cross-encoder", path=weights(tmp_path / "ce")),
        late=RerankModel(type="colbert", path=weights(tmp_path / "late", architectures=["HF_ColBERT"])),
        flash=RerankModel(type="flashrank", path=flash),
        there=RerankModel(type="api", name="rerank-v3.5", provider="cohere"),
    )

    listed = {info.id: info for info in source.models()}

    check_model_source(source)
    assert [info.format for info in listed.values()] == ["cross-encoder", "colbert", "flashrank", "rerank-api"]
    assert all(info.capabilities == frozenset({Capability.RERANK}) for info in listed.values())
    assert all(info.trouble is None for info in listed.values())
    assert [info.size_bytes for info in listed.values()] == [1000, 1000, 70, 0]
    assert listed["ce"].context_length == 512
    assert (listed["there"].remote, listed["there"].details["node"]) == (True, "cohere")
    assert source.find("nobody") is None


@pytest.mark.parametrize(
    ("entry", "trouble"),
    [
        (RerankModel(type="cross-encoder", path=Path("/nowhere")), "/nowhere cannot be read"),
        (RerankModel(type="cross-encoder", name="org/never-fetched"), "get them with `lmx pull org/never-fetched`"),
        (RerankModel(type="api", name="m", provider="jina", api_key_env="NO_KEY"), "NO_KEY holds no key"),
    ],
)
def test_a_model_that_cannot_be_loaded_says_what_it_lacks(tmp_path: Path, entry: RerankModel, trouble: str) -> None:
    info = only(source_of({"HF_HOME": str(tmp_path)}, m=entry))

    assert trouble in (info.trouble or "")


@pytest.mark.parametrize("kind", ["cross-encoder", "flashrank"])
def test_a_folder_without_weights_is_listed_with_that(tmp_path: Path, kind: Any) -> None:
    info = only(source_of(m=RerankModel(type=kind, path=tmp_path)))

    assert str(tmp_path) in (info.trouble or "")


def test_what_lmx_pull_has_fetched_is_found_by_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "hub" / "models--org--ce"
    snapshot = weights(folder / "snapshots" / ("a" * 40))
    blob = folder / "blobs" / "b"
    blob.parent.mkdir()
    (snapshot / "model.safetensors").rename(blob)
    (snapshot / "model.safetensors").symlink_to(blob)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("a" * 40)

    info = only(source_of({"HF_HOME": str(tmp_path)}, m=RerankModel(type="cross-encoder", name="org/ce")))

    assert (info.path, info.size_bytes, info.trouble) == (snapshot, 1000, None)


def test_a_changed_configuration_holds_at_once(tmp_path: Path) -> None:
    context = FakeContext(config=RerankConfig())
    source = RerankSource(context)
    assert source.models() == []

    context.config = RerankConfig(models={"ce": RerankModel(type="cross-encoder", path=weights(tmp_path / "ce"))})
    source.reconfigure(context.config)

    assert [info.id for info in source.models()] == ["ce"]

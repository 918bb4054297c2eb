"""What is told of models that cannot be loaded: no library, no files, or files of something else."""

import builtins
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lmx_hookspecs import ModelInfo
from lmx_hookspecs.errors import EngineFailed, Unavailable
from lmx_hookspecs.testing import FakeContext
from lmx_rerank.config import RerankConfig
from lmx_rerank.loading import load

CROSS = {"model_type": "bert", "architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}}
FLASH_FILES = ("config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "m.onnx")


def folder_of(folder: Path, config: Any, tensors: Mapping[str, Sequence[int]] | None = None) -> Path:
    """A folder with that configuration and a header of safetensors."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    header = json.dumps(
        {name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for name, shape in (tensors or {}).items()}
    ).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return folder


def opened(kind: str, path: Path | None, **facts: Any) -> Any:
    context = FakeContext(config=RerankConfig(device="cpu"))
    return load(context, ModelInfo(id="m", format=kind, path=path, **facts))


@pytest.mark.parametrize(
    ("kind", "missing", "line"),
    [
        ("cross-encoder", "torch", r"pip install 'rerankers\[transformers\]'"),
        ("colbert", "torch", r"pip install 'rerankers\[transformers\]'"),
        ("flashrank", "flashrank", "pip install 'flashrank'"),
    ],
)
def test_a_missing_library_is_named_with_its_pip_line(
    kind: str, missing: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path, CROSS, {"linear.weight": [24, 32], "bert.embeddings.word_embeddings.weight": [9, 32]})
    for name in FLASH_FILES if kind == "flashrank" else ():
        (folder / name).touch()
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] in (missing, "rerankers"):
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(Unavailable, match=rf"'m' is {kind}, .*No module named '{missing}'; {line}") as raised:
        opened(kind, folder)

    assert raised.value.code == "no_engine"


@pytest.mark.parametrize("kind", ["cross-encoder", "colbert", "flashrank"])
def test_a_model_without_a_folder_says_what_its_source_knows(kind: str, tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match="get them with `lmx pull org/m`"):
        opened(kind, None, trouble="its files are not here; get them with `lmx pull org/m`")
    with pytest.raises(EngineFailed, match="there is no folder"):
        opened(kind, tmp_path / "gone")


@pytest.mark.parametrize(
    ("kind", "config", "tensors", "problem"),
    [
        ("cross-encoder", {**CROSS, "architectures": ["BertModel"]}, {}, "its architecture is BertModel"),
        ("cross-encoder", {"model_type": "bert"}, {}, "its architecture is of no name"),
        ("cross-encoder", ["no", "object"], {}, "not a JSON object"),
        (
            "colbert",
            {"model_type": "xlm-roberta"},
            {},
            "it is xlm-roberta; rerankers opens .* on BERT alone",
        ),
        ("colbert", CROSS, {"bert.pooler": [1]}, r"hold no linear\.weight, so it is no ColBERT model"),
        ("colbert", CROSS, {"linear.weight": [24, 32]}, "no ColBERT model"),
        ("flashrank", CROSS, {}, r"does not hold special_tokens_map\.json"),
    ],
)
def test_a_folder_of_something_else_is_refused_before_anything_is_made_up(
    kind: str, config: Any, tensors: Mapping[str, Sequence[int]], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(EngineFailed, match=f"'m' cannot be opened: .*{problem}"):
        opened(kind, folder_of(tmp_path, config, tensors))


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, CROSS)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")

    with pytest.raises(EngineFailed, match="no weights as safetensors, and LMX opens no others"):
        opened("cross-encoder", folder)


@pytest.mark.parametrize("data", [b"", b"\xff" * 8, struct.pack("<Q", 99) + b"{}"])
def test_damaged_weights_are_told_of(tmp_path: Path, data: bytes) -> None:
    folder = folder_of(tmp_path, CROSS)
    (folder / "model.safetensors").write_bytes(data)

    with pytest.raises(EngineFailed, match=r"cannot be opened: .*; get its files again"):
        opened("cross-encoder", folder)

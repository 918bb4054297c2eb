"""Small random encoders on disk."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten

from lmx_mlx.encoder import Encoder, EncoderShape
from lmx_mlx.nomic import NomicEncoder, NomicShape
from mlx_support import write_tokenizer

BERT: Mapping[str, Any] = {
    "model_type": "bert",
    "vocab_size": 512,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 130,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    "pad_token_id": 0,
}
ROBERTA: Mapping[str, Any] = {
    **BERT,
    "model_type": "xlm-roberta",
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 1,
}


NORMS = ("LayerNorm.weight", "norm1.weight", "norm2.weight", "emb_ln.weight")
NOMIC: Mapping[str, Any] = {
    "model_type": "nomic_bert",
    "vocab_size": 512,
    "n_embd": 48,
    "n_layer": 3,
    "n_head": 4,
    "n_inner": 96,
    "n_positions": 8192,
    "max_trained_positions": 2048,
    "layer_norm_epsilon": 1e-12,
    "rotary_emb_base": 1000,
    "activation_function": "swiglu",
    "qkv_proj_bias": False,
}


def network_of(config: Mapping[str, Any]) -> Any:
    """Our implementation, with weights that mean nothing yet."""
    if config["model_type"] == "nomic_bert":
        return NomicEncoder(NomicShape.of(config))
    return Encoder(EncoderShape.of(config))


def write_encoder(folder: Path, config: Mapping[str, Any] = BERT, *, prefix: str = "", dtype: Any = mx.float32) -> Path:
    folder.mkdir()
    mx.random.seed(5)
    network = network_of(config)
    weights = {
        prefix + name: (mx.random.normal(array.shape) * 0.3 + name.endswith(NORMS)).astype(dtype)
        for name, array in tree_flatten(network.parameters())
    }
    weights[f"{prefix}pooler.dense.weight"] = mx.zeros((48, 48))
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    (folder / "config.json").write_text(json.dumps(dict(config)))
    write_tokenizer(folder, chat_template=None)
    return folder

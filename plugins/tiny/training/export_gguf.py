"""Write the weights and tokenizer of the MLX folder as one GGUF file: f16, norms in f32."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

MODELS = Path(__file__).parents[1] / "lmx_tiny" / "models"
TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}
IN_BLOCK = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
Array = npt.NDArray[Any]


def tensor_name(name: str) -> str:
    """The GGUF name of a Hugging Face tensor."""
    stem = name.removesuffix(".weight")
    if stem in TOP:
        return f"{TOP[stem]}.weight"
    _, _, block, rest = stem.split(".", 3)
    return f"blk.{block}.{IN_BLOCK[rest]}.weight"


def interleaved(weight: Array, heads: int) -> Array:
    """Rows of q or k from halves (Hugging Face) to pairs (llama.cpp), head by head."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def export(source: Path, target: Path) -> None:
    """Write `target` from the Hugging Face folder `source`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    config = json.loads((source / "config.json").read_text())
    writer = gguf.GGUFWriter(target, "llama")
    _write_shape(writer, config)
    _write_tokenizer(writer, json.loads((source / "tokenizer.json").read_text()), config)
    writer.add_chat_template((source / "chat_template.jinja").read_text())
    for name, weight in load_file(source / "model.safetensors").items():
        writer.add_tensor(tensor_name(name), _converted(name, weight, config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _converted(name: str, weight: Array, config: dict[str, Any]) -> Array:
    if weight.ndim == 1:
        return weight.astype(np.float32)
    if "q_proj" in name:
        weight = interleaved(weight, config["num_attention_heads"])
    if "k_proj" in name:
        weight = interleaved(weight, config["num_key_value_heads"])
    return np.ascontiguousarray(weight.astype(np.float16))


def _write_shape(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    writer.add_name("lmx-tiny")
    writer.add_description("The smoke-test and help model of LMX")
    writer.add_license("Apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _write_tokenizer(writer: gguf.GGUFWriter, tokenizer: dict[str, Any], config: dict[str, Any]) -> None:
    kinds = dict.fromkeys(tokenizer["model"]["vocab"], gguf.TokenType.NORMAL)
    ids = dict(tokenizer["model"]["vocab"])
    for added in tokenizer["added_tokens"]:
        ids[added["content"]] = added["id"]
        kinds[added["content"]] = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
    ordered = sorted(ids, key=lambda token: int(ids[token]))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(ordered)
    writer.add_token_types([kinds[token] for token in ordered])
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, default=MODELS / "lmx-tiny")
    parser.add_argument("--target", type=Path, default=MODELS / "lmx-tiny-gguf" / "lmx-tiny.gguf")
    options = parser.parse_args()
    export(options.source, options.target)

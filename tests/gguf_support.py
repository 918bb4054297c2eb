"""Small random GGUF models on disk, and ways to drive an engine that has loaded one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from attrs import field, frozen

from lmx_gguf.config import GgufConfig
from lmx_gguf.loading import load_engine
from lmx_hookspecs import ModelInfo, Sampling, TokenRequest
from step_engine_support import CHAT_TEMPLATE, Log, Result

TINY = Path(__file__).parents[1] / "plugins/tiny/lmx_tiny/models/lmx-tiny-gguf/lmx-tiny.gguf"
VOCAB_SIZE = 512
CONTEXT_LENGTH = 8192
EOS = 0
SPECIAL = ("<|end|>", "<|start|>")
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@frozen
class Context:
    """What a worker hands to a backend."""

    config: GgufConfig = field(factory=GgufConfig)
    log: Any = field(factory=Log)


@frozen(kw_only=True)
class Shape:
    """Of a llama."""

    width: int = 64
    inner: int = 128
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    head: int = 16
    vocab_size: int = VOCAB_SIZE


def write_llama(
    path: Path,
    *,
    seed: int = 7,
    layers: int = 2,
    template: str | None = CHAT_TEMPLATE,
    head: int = 16,
    bos: bool = False,
    pre: str = "gpt-2",
    pooling: int | None = None,
) -> Path:
    """A random llama whose logits are wide enough apart for greedy decoding to be the same in any batch."""
    shape = Shape(layers=layers, head=head)
    writer = llama_writer(path, shape)
    if pooling is not None:
        writer.add_pooling_type(gguf.PoolingType(pooling))
    _write_byte_vocabulary(writer, bos=bos, pre=pre)
    if template is not None:
        writer.add_chat_template(template)
    add_llama_tensors(writer, shape, seed, np.float32)
    return written(writer, path)


def llama_writer(path: Path, shape: Shape) -> Any:
    """A file that says what the model is, without vocabulary and weights."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT_LENGTH)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_rope_dimension_count(shape.head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape.vocab_size)
    return writer


def add_llama_tensors(writer: Any, shape: Shape, seed: int, dtype: Any) -> None:
    """Random weights; the logit of the end of sequence stays at 0, which is never the largest."""
    draw, width = np.random.default_rng(seed), shape.width
    output = _random(draw, (shape.vocab_size, width), 3 / np.sqrt(width))
    output[EOS] = 0
    writer.add_tensor("output.weight", output.astype(dtype))
    shapes = {"token_embd": (shape.vocab_size, width)}
    for block in range(shape.layers):
        shapes |= {
            f"blk.{block}.attn_q": (shape.heads * shape.head, width),
            f"blk.{block}.attn_k": (shape.kv_heads * shape.head, width),
            f"blk.{block}.attn_v": (shape.kv_heads * shape.head, width),
            f"blk.{block}.attn_output": (width, shape.heads * shape.head),
            f"blk.{block}.ffn_gate": (shape.inner, width),
            f"blk.{block}.ffn_up": (shape.inner, width),
            f"blk.{block}.ffn_down": (width, shape.inner),
        }
    for name, size in shapes.items():
        writer.add_tensor(f"{name}.weight", _random(draw, size, 3 / np.sqrt(size[1])).astype(dtype))
    norms = ["output_norm", *(f"blk.{block}.{part}_norm" for block in range(shape.layers) for part in ("attn", "ffn"))]
    for name in norms:
        writer.add_tensor(f"{name}.weight", np.ones(width, np.float32))


def write_bert(path: Path, *, pooling: int = 1, layers: int = 2) -> Path:
    """A random BERT with a vocabulary of letters, so that any text has tokens."""
    width, inner, heads, context = 32, 64, 4, 128
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*WORDS, *(f"\u2581{letter}" for letter in letters), *letters]
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType(pooling))
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("jina-v2-en")
    writer.add_token_list(words)
    writer.add_token_types([gguf.TokenType.CONTROL] * len(WORDS) + [gguf.TokenType.NORMAL] * 52)
    writer.add_token_type_count(2)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_uint32("tokenizer.ggml.cls_token_id", 2)
    writer.add_sep_token_id(3)
    writer.add_mask_token_id(4)
    draw = np.random.default_rng(3)
    _bert_tensors(writer, draw, words=len(words), width=width, inner=inner, context=context, layers=layers)
    return written(writer, path)


def write_adapter(path: Path, *, layers: int = 2, kind: str = "adapter") -> Path:
    """A LoRA adapter of rank 2 for `write_llama`, large enough to change what it says."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type(kind)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 32.0)
    draw = np.random.default_rng(11)
    for block in range(layers):
        writer.add_tensor(f"blk.{block}.attn_q.weight.lora_a", _random(draw, (2, 64), 1.0))
        writer.add_tensor(f"blk.{block}.attn_q.weight.lora_b", _random(draw, (64, 2), 1.0))
    return written(writer, path)


def _bert_tensors(writer: Any, draw: Any, *, words: int, width: int, inner: int, context: int, layers: int) -> None:
    tables = {"token_embd": (words, width), "position_embd": (context, width), "token_types": (2, width)}
    for name, shape in tables.items():
        writer.add_tensor(f"{name}.weight", _random(draw, shape, 1.0))
    norms = ["token_embd_norm"]
    for block in range(layers):
        linear = {
            "attn_q": (width, width),
            "attn_k": (width, width),
            "attn_v": (width, width),
            "attn_output": (width, width),
            "ffn_up": (inner, width),
            "ffn_down": (width, inner),
        }
        for name, shape in linear.items():
            writer.add_tensor(f"blk.{block}.{name}.weight", _random(draw, shape, 1 / np.sqrt(shape[1])))
            writer.add_tensor(f"blk.{block}.{name}.bias", np.zeros(shape[0], np.float32))
        norms += [f"blk.{block}.attn_output_norm", f"blk.{block}.layer_output_norm"]
    for name in norms:
        writer.add_tensor(f"{name}.weight", np.ones(width, np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(width, np.float32))


def _write_byte_vocabulary(writer: Any, *, bos: bool, pre: str) -> None:
    """Special tokens, all bytes, some merged pairs, and fillers: byte-level BPE."""
    symbols = byte_symbols()
    pairs = [f"{left}{right}" for left in "aeiou" for right in "nrst"]
    tokens = [*SPECIAL, *symbols, *pairs]
    tokens += [f"<unused{number}>" for number in range(VOCAB_SIZE - len(tokens))]
    kinds = [gguf.TokenType.CONTROL] * len(SPECIAL) + [gguf.TokenType.NORMAL] * (VOCAB_SIZE - len(SPECIAL))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in pairs])
    writer.add_eos_token_id(EOS)
    if bos:
        writer.add_bos_token_id(1)
    writer.add_add_bos_token(bos)


def byte_symbols() -> list[str]:
    """GPT-2's character for each byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def _random(draw: Any, shape: Sequence[int], spread: float) -> Any:
    return (draw.standard_normal(shape) * spread).astype(np.float32)


def written(writer: Any, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def engine_of(path: Path, *, config: GgufConfig | None = None, log: Any = None, **facts: Any) -> Any:
    """An engine that has loaded the model at `path`; `facts` are settings, `adapter` and `draft`."""
    context = Context(config=config or GgufConfig(threads=1, prefix_cache_min_tokens=64), log=log or Log())
    return load_engine(context, info_of(path, **facts))


def info_of(path: Path, *, adapter: Path | None = None, draft: Path | None = None, **settings: Any) -> ModelInfo:
    """The file as a model source lists it."""
    return ModelInfo(
        id=path.stem,
        format="gguf",
        path=path,
        size_bytes=path.stat().st_size if path.exists() else 0,
        adapter=adapter,
        draft=draft,
        settings=settings,
    )


def prompt_of(length: int, *, seed: int = 1) -> list[int]:
    """Random ids without special tokens."""
    draw = np.random.default_rng(seed)
    return [int(token) for token in draw.integers(len(SPECIAL), VOCAB_SIZE, length)]


def request_of(
    prompt: Sequence[int], *, max_tokens: int = 16, logprobs: int | None = None, **sampling: Any
) -> TokenRequest:
    """A greedy request unless `sampling` says otherwise; the end of sequence is out of the way."""
    bias = {EOS: -100.0, **sampling.pop("logit_bias", {})}
    return TokenRequest(
        tokens=prompt,
        max_tokens=max_tokens,
        logprobs=logprobs,
        sampling=Sampling(**{"temperature": 0.0, "logit_bias": bias, **sampling}),
    )


def same_up_to_ties(left: Result, right: Result, tolerance: float) -> bool:
    """Whether two greedy rows with `logprobs=2` say the same, up to where two tokens are tied within the tolerance."""
    for one, other in zip(left.pieces, right.pieces, strict=False):
        if one.token != other.token:
            return all(piece.top[0][1] - piece.top[1][1] < tolerance for piece in (one, other))
        if abs(float(one.logprob or 0) - float(other.logprob or 0)) > tolerance:
            return False
    return len(left.tokens) == len(right.tokens)

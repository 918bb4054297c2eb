"""A small random model with a byte-level tokenizer on disk, and ways to drive an engine that has loaded it."""

import json
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
from attrs import evolve, field, frozen
from mlx.utils import tree_flatten
from mlx_lm.models import llama
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from lmx_hookspecs import ModelInfo, Sampling, TokenRequest
from lmx_mlx.config import MlxConfig
from lmx_mlx.embedding_engine import MlxEmbeddingEngine
from lmx_mlx.engine import MlxEngine
from lmx_mlx.loading import load_engine
from step_engine_support import CHAT_TEMPLATE, Log

VOCAB_SIZE = 512
CONTEXT_LENGTH = 8192
EOS = 0
SHAPE: Mapping[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "rms_norm_eps": 1e-5,
    "vocab_size": VOCAB_SIZE,
    "max_position_embeddings": CONTEXT_LENGTH,
    "tie_word_embeddings": False,
}


@frozen
class Context:
    """What a worker hands to a backend."""

    config: MlxConfig = field(factory=MlxConfig)
    log: Any = field(factory=Log)


def write_model(folder: Path, *, shape: Mapping[str, Any] = SHAPE, dtype: Any = mx.float32) -> Path:
    """A random model whose logits are wide enough apart for greedy decoding to be the same in any batch."""
    folder.mkdir(parents=True, exist_ok=True)
    mx.random.seed(7)
    network = llama.Model(llama.ModelArgs.from_dict(dict(shape)))
    weights = {name: _spread(array).astype(dtype) for name, array in tree_flatten(network.parameters())}
    mx.save_safetensors(str(folder / "model.safetensors"), weights, {"format": "mlx"})
    (folder / "config.json").write_text(json.dumps({**shape, "eos_token_id": EOS}))
    write_tokenizer(folder)
    return folder


def write_tokenizer(folder: Path, *, chat_template: str | None = CHAT_TEMPLATE) -> None:
    """A byte-level BPE tokenizer with a chat template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|end|>", "<|start|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the quick brown fox jumps over the lazy dog " * 3], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>"}
    if chat_template is not None:
        settings["chat_template"] = chat_template
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def engine_of(
    folder: Path,
    *,
    config: MlxConfig | None = None,
    adapter: Path | None = None,
    draft: Path | None = None,
    **settings: Any,
) -> MlxEngine:
    """An engine that has loaded the model in `folder`."""
    if draft is not None:
        settings["draft_model"] = draft.name
    info = evolve(info_of(folder, **settings), adapter=adapter, draft=draft)
    engine = load_engine(Context(config=config or MlxConfig()), info)
    assert isinstance(engine, MlxEngine)
    return engine


def embedding_engine_of(folder: Path, *, config: MlxConfig | None = None, **settings: Any) -> MlxEmbeddingEngine:
    """The same for a model that makes vectors."""
    engine = load_engine(Context(config=config or MlxConfig()), info_of(folder, **settings))
    assert isinstance(engine, MlxEmbeddingEngine)
    return engine


def info_of(folder: Path, **settings: Any) -> ModelInfo:
    """The folder as a model source lists it."""
    size_bytes = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return ModelInfo(id=folder.name, format="safetensors", path=folder, size_bytes=size_bytes, settings=settings)


def prompt_of(length: int, *, seed: int = 1) -> list[int]:
    """Random ids without special tokens."""
    draw = random.Random(seed)
    return [draw.randrange(2, VOCAB_SIZE) for _ in range(length)]


def request_of(
    prompt: Sequence[int], *, max_tokens: int = 16, logprobs: int | None = None, **sampling: Any
) -> TokenRequest:
    """A greedy request unless `sampling` says otherwise; the end of sequence is out of the way."""
    return TokenRequest(
        tokens=prompt,
        max_tokens=max_tokens,
        logprobs=logprobs,
        sampling=Sampling(**{"temperature": 0.0, **sampling}),
    )


def close_to(left: float, right: float, tolerance: float = 1e-4) -> bool:
    """Equal up to the rounding of float32."""
    return math.isclose(left, right, rel_tol=tolerance, abs_tol=tolerance)


def _spread(array: Any) -> Any:
    return array * 3 if array.ndim > 1 else array

"""Train lmx-tiny from scratch with MLX on the CPU, and save it as a Hugging Face folder.

Two phases: conversations in many wordings, then a shorter rehearsal of the wordings as they are written.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import mlx.core as mx
import numpy as np
from corpus import Corpus, pieces
from mlx import nn, optimizers
from mlx.utils import tree_flatten
from mlx_lm.models.llama import Model, ModelArgs
from tokenizer import VOCABULARY, save, train_tokenizer
from tokenizers import Tokenizer
from tool_dialogues import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

MODELS = Path(__file__).parents[1] / "lmx_tiny" / "models"
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": VOCABULARY,
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "mlp_bias": False,
    "bos_token_id": None,
    "eos_token_id": 2041,
    "pad_token_id": 2039,
    "torch_dtype": "float16",
}
BATCH_TOKENS = 1_024
WARM_UP = 80
PEAK, REHEARSAL_PEAK, FLOOR = 2.5e-3, 7e-4, 2e-5


@attrs.frozen
class Batch:
    """Token ids (rows x length); `positions` in the flattened rows predict `targets`."""

    ids: mx.array
    positions: mx.array
    targets: mx.array
    tokens: int


Conversations = Iterable[tuple[list[Message], list[Message]]]
Encoded = tuple[list[int], list[bool]]


@attrs.frozen
class Phase:
    """A stretch of training: how many tokens, and the highest learning rate."""

    tokens: int
    peak: float


def encoded(drawn: Conversations, tokenizer: Tokenizer) -> Iterator[Encoded]:
    """Token ids of each conversation, and which of them the assistant says."""
    for messages, tools in drawn:
        ids: list[int] = []
        spoken: list[bool] = []
        for piece in pieces(messages, tools):
            new = tokenizer.encode(piece.text, add_special_tokens=False).ids
            ids += new
            spoken += [piece.trained] * len(new)
        yield ids, spoken


def batches(drawn: Conversations, tokenizer: Tokenizer) -> Iterator[Batch]:
    """Conversations of like length together, padded to a multiple of eight."""
    buckets: dict[int, list[Encoded]] = {}
    for sample in encoded(drawn, tokenizer):
        length = _rounded(len(sample[0]))
        bucket = buckets.setdefault(length, [])
        bucket.append(sample)
        if len(bucket) >= max(2, BATCH_TOKENS // length):
            yield _padded(buckets.pop(length), length)


def _rounded(length: int) -> int:
    step = 8 if length <= 96 else 32 if length <= 256 else 128
    return math.ceil(length / step) * step


def _padded(samples: list[Encoded], length: int) -> Batch:
    ids = np.full((len(samples), length), CONFIG["pad_token_id"], dtype=np.int32)
    wanted = np.zeros((len(samples), length), dtype=np.bool_)
    for row, (tokens, spoken) in enumerate(samples):
        ids[row, : len(tokens)] = tokens
        wanted[row, : len(tokens)] = spoken
    positions = np.flatnonzero(wanted[:, 1:])
    targets = ids[:, 1:].reshape(-1)[positions]
    return Batch(mx.array(ids), mx.array(positions), mx.array(targets), sum(len(tokens) for tokens, _ in samples))


def loss_of(model: Model, batch: Batch) -> mx.array:
    """Mean cross-entropy; logits are only made where the assistant speaks."""
    states = model.model(batch.ids[:, :-1]).reshape(-1, CONFIG["hidden_size"])[batch.positions]
    logits = model.model.embed_tokens.as_linear(states)
    loss: mx.array = nn.losses.cross_entropy(logits, batch.targets, reduction="mean")
    return loss


def learning_rate(phase: Phase, tokens: int, step: int) -> float:
    """Warm-up over steps, then cosine decay over the token budget."""
    warm = min(1.0, (step + 1) / WARM_UP)
    return warm * (FLOOR + (phase.peak - FLOOR) * 0.5 * (1 + math.cos(math.pi * min(1.0, tokens / phase.tokens))))


def train(model: Model, tokenizer: Tokenizer, drawn: Conversations, phase: Phase) -> None:
    """AdamW until the tokens of the phase have been seen, padding not counted."""
    optimizer = optimizers.AdamW(learning_rate=phase.peak, betas=[0.9, 0.98], weight_decay=0.05, bias_correction=True)
    optimizer.init(model.trainable_parameters())
    gradient = nn.value_and_grad(model, loss_of)
    seen, recent, began = 0, 0.0, time.perf_counter()
    for step, batch in enumerate(batches(drawn, tokenizer)):
        optimizer.learning_rate = learning_rate(phase, seen, step)
        loss, gradients = gradient(model, batch)
        gradients, _ = optimizers.clip_grad_norm(gradients, 1.0)
        optimizer.update(model, gradients)
        mx.eval(loss, model.parameters(), optimizer.state)
        seen += batch.tokens
        recent = 0.95 * recent + 0.05 * loss.item() if step else loss.item()
        if step % 50 == 0 or seen >= phase.tokens:
            rate = seen / (time.perf_counter() - began)
            print(f"step {step}  tokens {seen:,}  loss {recent:.4f}  {rate:,.0f} tokens/s", flush=True)
        if seen >= phase.tokens:
            return


def save_model(model: nn.Module, folder: Path) -> None:
    """fp16 weights, config and generation config: what any Hugging Face reader opens."""
    weights = {name: value.astype(mx.float16) for name, value in tree_flatten(model.parameters())}
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    generation = {"do_sample": False, "eos_token_id": CONFIG["eos_token_id"], "pad_token_id": CONFIG["pad_token_id"]}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")


def main() -> None:
    """Train tokenizer and model, and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=1_100_000, help="of paraphrased conversations")
    parser.add_argument("--rehearsal-tokens", type=int, default=130_000, help="of wordings as they are written")
    parser.add_argument("--resume", type=Path, help="a saved model: only the rehearsal is left to do")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--output", type=Path, default=MODELS / "lmx-tiny")
    options = parser.parse_args()
    mx.set_default_device(mx.cpu)
    mx.random.seed(options.seed)
    resumed = options.resume
    tokenizer = Tokenizer.from_file(str(resumed / "tokenizer.json")) if resumed else train_tokenizer()
    CONFIG["eos_token_id"] = tokenizer.token_to_id("<|im_end|>")
    CONFIG["pad_token_id"] = tokenizer.token_to_id("<|endoftext|>")
    model = Model(ModelArgs.from_dict(CONFIG))
    mx.eval(model.parameters())
    print(f"{sum(v.size for _, v in tree_flatten(model.parameters())):,} parameters")
    if resumed:
        model.load_weights(str(resumed / "model.safetensors"))
        model.set_dtype(mx.float32)
    else:
        train(model, tokenizer, Corpus(options.seed).conversations(), Phase(options.tokens, PEAK))
    train(model, tokenizer, Corpus(options.seed + 1).rehearsal(), Phase(options.rehearsal_tokens, REHEARSAL_PEAK))
    save(tokenizer, options.output)
    save_model(model, options.output)


if __name__ == "__main__":
    main()

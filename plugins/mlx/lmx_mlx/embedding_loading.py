"""From a folder to an engine for embeddings: an encoder, or a decoder whose files say how it makes a vector."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx import nn

from lmx_hookspecs import ModelInfo
from lmx_hookspecs.errors import Unavailable, UnsupportedParameter
from lmx_hookspecs.model_kinds import ENCODERS, SENTENCE_MODULES
from lmx_mlx import checkpoints, facts
from lmx_mlx.blas import BlasThreads
from lmx_mlx.embedding_engine import Embedder, MlxEmbeddingEngine, States
from lmx_mlx.encoder import Encoder, EncoderShape
from lmx_mlx.memory import Memory
from lmx_mlx.nomic import NomicEncoder, NomicShape
from lmx_mlx.pooling import pooling_of
from lmx_mlx.reading import json_of, load_error
from lmx_mlx.settings import Settings
from lmx_mlx.tokenizer import MlxTokenizer
from lmx_mlx.weights import is_quantised

HEADS = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice")
SEQUENCE = "sentence_bert_config.json"
NOT_FOR_EMBEDDINGS = ("draft_model", "prompt_lookup", "kv_bits")


def load_embedding_engine(
    info: ModelInfo, folder: Path, settings: Settings, memory: Memory, *, float32_on_cpu: bool
) -> MlxEmbeddingEngine:
    """Load and warm up; raises an LmxError that says what is wrong with the model's files or settings."""
    _refuse(info, settings)
    config = json_of(folder / "config.json")
    _refuse_heads(folder, config)
    encodes = config.get("model_type") in ENCODERS
    pool = pooling_of(folder, "mean_tokens" if encodes else "lasttoken")
    try:
        network, wrapper = _encoder(folder, config) if encodes else _decoder(folder)
        if float32_on_cpu and mx.default_device() == mx.cpu and not is_quantised(config):
            network.set_dtype(mx.float32)
        network.eval()
        mx.eval(network.parameters())
        BlasThreads().suit(facts.weight_bytes(network), draws=False)
        states = network if encodes else _states_of(network)
        width = pool(states(mx.array([[0, 0]]), mx.array([[True, True]])), mx.array([[True, True]])).shape[-1]
    except Exception as error:  # MLX and transformers raise anything at a damaged or unknown model
        raise load_error(folder, error) from error
    model = Embedder(
        states=states,
        pool=pool,
        tokenizer=MlxTokenizer(wrapper=wrapper, vocab_size=facts.vocab_size(network, config["vocab_size"])),
        context_length=_context_length(folder, config, settings, encodes=encodes),
        details={
            **facts.details(network, config),
            "dimensions": width,
            "pooling": pool.mode,
            "normalizes": pool.normalizes,
            "matryoshka": bool(config.get("matryoshka_dimensions") or config.get("is_matryoshka")),
        },
    )
    return MlxEmbeddingEngine(model=model, memory=memory)


def _refuse(info: ModelInfo, settings: Settings) -> None:
    asked = [name for name in NOT_FOR_EMBEDDINGS if getattr(settings, name)]
    if info.adapter is not None:
        asked.append("adapters")
    if asked:
        raise UnsupportedParameter(
            f"{info.id} makes embeddings, for which {asked[0]} has no meaning here; leave it out", param=asked[0]
        )


def _refuse_heads(folder: Path, config: Mapping[str, Any]) -> None:
    """Encoders that were trained to judge texts (rerankers, classifiers) have states that mean nothing as vectors."""
    heads = [str(name) for name in config.get("architectures") or () if str(name).endswith(HEADS)]
    if heads and not (folder / SENTENCE_MODULES).is_file():
        raise Unavailable(
            f"{folder.name} is made for {', '.join(heads)} and not for embeddings; this engine cannot use it",
            code="no_engine",
        )


def _encoder(folder: Path, config: Mapping[str, Any]) -> tuple[Any, Any]:
    network = _network(config)
    weights: dict[str, Any] = {}
    for path in sorted(folder.glob("model*.safetensors")):
        read: Any = mx.load(str(path))
        weights |= read
    if not weights:
        raise FileNotFoundError(f"no safetensors in {folder}")
    weights = network.sanitize(weights)
    quantization = config.get("quantization")
    if quantization is not None:
        nn.quantize(
            network,
            group_size=quantization["group_size"],
            bits=quantization["bits"],
            class_predicate=lambda path, module: hasattr(module, "to_quantized") and f"{path}.scales" in weights,
        )
    network.load_weights(list(weights.items()), strict=True)
    return network, checkpoints.load_tokenizer_of(folder, config)


def _network(config: Mapping[str, Any]) -> Any:
    """With random weights."""
    if config["model_type"] == "nomic_bert":
        return NomicEncoder(NomicShape.of(config))
    return Encoder(EncoderShape.of(config))


def _positions(config: Mapping[str, Any]) -> int:
    """Tokens that an encoder can read."""
    nomic = config["model_type"] == "nomic_bert"
    return NomicShape.of(config).context_length if nomic else EncoderShape.of(config).context_length


def _decoder(folder: Path) -> tuple[Any, Any]:
    network, wrapper, _ = checkpoints.load(folder, named_from="model.")
    return network, wrapper


def _states_of(network: Any) -> States:
    """Padding comes behind, where a decoder's tokens do not look: it needs no mask."""
    return lambda tokens, mask: network.model(tokens)  # noqa: ARG005


def _context_length(folder: Path, config: Mapping[str, Any], settings: Settings, *, encodes: bool) -> int:
    """Positions there are, or the shorter texts that the model was made for, or that the operator wants."""
    longest = _positions(config) if encodes else facts.context_length(config, None)
    limits = (json_of(folder / SEQUENCE).get("max_seq_length"), settings.context_length)
    return min(longest, *(limit for limit in limits if isinstance(limit, int) and limit > 0), longest)

"""What a model makes, by what its files say of it: text, vectors, or a score for a query and a document."""

from collections.abc import Collection, Mapping
from typing import Any

from lmx_hookspecs.capabilities import Capability
from lmx_hookspecs.gguf import GgufHeader

ENCODERS = frozenset({"bert", "roberta", "xlm-roberta", "nomic_bert"})
"""Values of `model_type` of models that make no text."""
SENTENCE_MODULES = "modules.json"
"""Sentence-transformers' list of what makes a vector of a text."""
HEAD = "ForSequenceClassification"
"""The end of the architecture of what gives numbers for a text; where that is one number, of a query and a document."""
CROSS_ENCODER = "cross-encoder"
"""The format of folders that hold such a model."""
RERANKS: frozenset[str] = frozenset({Capability.RERANK})
VECTORS: frozenset[str] = frozenset({Capability.EMBED, Capability.TOKEN_PROMPTS})
TEXTS: frozenset[str] = frozenset(Capability) - {Capability.EMBED, Capability.RERANK}


def abilities(config: Mapping[str, Any], files: Collection[str]) -> frozenset[str]:
    """Of a model of that `config.json`, beside files of these names: RERANKS, VECTORS or TEXTS."""
    if is_cross_encoder(config):
        return RERANKS
    return VECTORS if makes_embeddings(config, files) else TEXTS


def makes_embeddings(config: Mapping[str, Any], files: Collection[str]) -> bool:
    """Whether a model of that `config.json`, beside files of these names, makes vectors and no text."""
    return config.get("model_type") in ENCODERS or SENTENCE_MODULES in files


def is_cross_encoder(config: Mapping[str, Any]) -> bool:
    """Whether a model of that `config.json` gives one number for a query and a document, and nothing else."""
    labels = config.get("id2label")
    count = len(labels) if isinstance(labels, dict) else config.get("num_labels")
    architecture = next(iter(config.get("architectures") or ()), "")
    return count == 1 and str(architecture).endswith(HEAD)


def gguf_abilities(header: GgufHeader) -> frozenset[str] | None:
    """VECTORS or TEXTS; of a damaged file nobody knows."""
    if header.pools:
        return VECTORS
    return TEXTS if header.architecture else None

"""From the states of all tokens to one vector, as the model's own sentence-transformers files say.

Format: https://sbert.net/docs/package_reference/sentence_transformer/models.html (`modules.json`, `1_Pooling`).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
from attrs import frozen

from lmx_hookspecs.errors import Unavailable
from lmx_hookspecs.model_kinds import SENTENCE_MODULES
from lmx_mlx.reading import json_list_of, json_of
from lmx_mlx.weights import POOLING

KNOWN_MODULES = frozenset({"Transformer", "Pooling", "Normalize"})

Pool = Callable[[Any, Any], Any]
"""States (batch, length, width) and a mask (batch, length), to vectors (batch, width)."""


def first(states: Any, mask: Any) -> Any:  # noqa: ARG001  padding comes behind
    """The state of the first token, `[CLS]` of BERT."""
    return states[:, 0]


def last(states: Any, mask: Any) -> Any:
    """The state of the last token, which alone has seen all others in a decoder."""
    return states[mx.arange(states.shape[0]), mask.sum(axis=1) - 1]


def mean(states: Any, mask: Any) -> Any:
    """The mean over the tokens, without padding."""
    weights = mask[..., None].astype(states.dtype)
    return (states * weights).sum(axis=1) / weights.sum(axis=1)


def largest(states: Any, mask: Any) -> Any:
    """The largest value of each component."""
    return mx.where(mask[..., None], states, -mx.inf).max(axis=1)


MODES: Mapping[str, Pool] = {"cls_token": first, "lasttoken": last, "mean_tokens": mean, "max_tokens": largest}


NEWER = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "lasttoken": "lasttoken"}
"""What later versions of sentence-transformers call the modes."""


@frozen(kw_only=True)
class Pooling:
    """How the model makes a vector."""

    mode: str
    normalizes: bool

    def __call__(self, states: Any, mask: Any) -> Any:
        """Vectors in float32, of length 1 where the model wants them so."""
        vectors = MODES[self.mode](states.astype(mx.float32), mask)
        if not self.normalizes:
            return vectors
        return vectors / mx.maximum(mx.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def pooling_of(folder: Path, default: str) -> Pooling:
    """Raises Unavailable for what the model wants and this engine has not; `default` is the mode where it is silent."""
    modules = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in json_list_of(folder / SENTENCE_MODULES)]
    foreign = sorted(set(modules) - KNOWN_MODULES)
    if foreign:
        raise _refusal(folder, f"modules of the types {', '.join(foreign)}")
    config = json_of(folder / POOLING)
    wanted = [
        name.removeprefix("pooling_mode_") for name, on in config.items() if name.startswith("pooling_mode_") and on
    ]
    if isinstance(config.get("pooling_mode"), str):
        wanted = [NEWER.get(config["pooling_mode"], config["pooling_mode"])]
    mode = wanted[0] if wanted else default
    if len(wanted) > 1 or mode not in MODES:
        raise _refusal(folder, f"the pooling {' and '.join(wanted)}")
    return Pooling(mode=mode, normalizes="Normalize" in modules or not modules)


def _refusal(folder: Path, what: str) -> Unavailable:
    return Unavailable(
        f"{folder.name} makes its vectors with {what}, which this engine does not have; known are "
        f"{', '.join(sorted(MODES))}",
        code="no_engine",
    )

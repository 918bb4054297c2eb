"""Each row's own sampling, as a logits processor.

vllm-mlx has one sampler for all rows of its batch, made from the first request's temperature, top_p and min_p; requests
with others are drawn with those as long as the batch lasts, and top_k, seeds and the other penalties do not reach it.
Logits processors it has for each request. So the shared sampler takes the likeliest token, and the processor of a row
leaves only the one that this row has drawn.
"""

import secrets
from collections.abc import Sequence
from typing import Any

import mlx.core as mx
from attrs import define, field, frozen

from lmx_hookspecs import Sampling

GREEDY_BELOW = 1e-5
"""Temperatures under it are greedy: dividing by them would only overflow."""
WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15

Array = Any


@frozen
class Filters:
    """Which tokens may be drawn; neutral values are None. In mlx-lm's order, all before temperature."""

    top_p: float | None
    min_p: float | None
    top_k: int | None

    @classmethod
    def of(cls, sampling: Sampling) -> "Filters":
        """Those that the request asks for."""
        return cls(
            top_p=sampling.top_p if sampling.top_p < 1.0 else None,
            min_p=sampling.min_p if sampling.min_p > 0.0 else None,
            top_k=sampling.top_k or None,
        )

    def apply(self, logits: Array) -> Array:
        """Minus infinity for the others; the likeliest token always stays."""
        if self.top_p is not None:
            logits = _above(logits, _nucleus_threshold(logits, self.top_p))
        if self.min_p is not None:
            logits = _above(logits, mx.max(logits, axis=-1, keepdims=True) + mx.log(mx.array(self.min_p)))
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            logits = _above(logits, mx.min(mx.topk(logits, self.top_k, axis=-1), axis=-1, keepdims=True))
        return logits


@define(eq=False)
class Draw:
    """Draws with random keys that depend on the seed and on how many tokens it has drawn, and on nothing else."""

    inverse_temperature: float
    filters: Filters
    _state: int

    @classmethod
    def of(cls, sampling: Sampling) -> "Draw | None":
        """None for greedy rows: the shared sampler takes the likeliest token itself."""
        if sampling.temperature < GREEDY_BELOW:
            return None
        seed = secrets.randbits(64) if sampling.seed is None else sampling.seed
        return cls(1.0 / sampling.temperature, Filters.of(sampling), _mixed(seed))

    def __call__(self, logits: Array) -> Array:
        """Logits of shape (1, vocabulary) of which only the drawn token is left."""
        kept = self.filters.apply(logits.astype(mx.float32))
        drawn = mx.random.categorical(
            kept * self.inverse_temperature, axis=-1, key=mx.array(self._next_key(), mx.uint32)
        )
        return mx.where(_ids(logits) == drawn[:, None], 0.0, -mx.inf)

    def _next_key(self) -> tuple[int, int]:
        self._state = (self._state + GOLDEN) & WORD
        return divmod(_mixed(self._state), 1 << 32)


@define(eq=False)
class Penalties:
    """Bias and penalties of one row.

    The repetition penalty looks at prompt and answer, as it was published; presence and frequency penalties look at
    the whole answer and not at the prompt, as OpenAI defines them.
    """

    sampling: Sampling
    prompt: Sequence[int]
    _counts: Array = field(default=None, init=False)
    """How often the answer has each token, of shape (1, vocabulary)."""
    _in_prompt: Array = field(default=None, init=False)
    _bias: Array = field(default=None, init=False)

    @classmethod
    def of(cls, sampling: Sampling, prompt: Sequence[int]) -> "Penalties | None":
        """None where there is nothing to change."""
        neutral = Sampling()
        names = ("repetition_penalty", "presence_penalty", "frequency_penalty", "logit_bias")
        wanted = any(getattr(sampling, name) != getattr(neutral, name) for name in names)
        return cls(sampling, prompt) if wanted else None

    def __call__(self, last: Array, logits: Array) -> Array:
        """The changed logits; `last` is the token before them, of shape (1,)."""
        logits = logits.astype(mx.float32)
        if self._counts is None:
            self._begin(logits)  # `last` ends the prompt
        else:
            self._counts = self._counts + (_ids(logits) == last[:, None])
        return self._penalised(logits + self._bias)

    def _begin(self, logits: Array) -> None:
        self._counts = mx.zeros(logits.shape)
        self._in_prompt = mx.zeros(logits.shape)
        self._in_prompt[:, mx.array(list(self.prompt))] = 1.0
        self._bias = mx.zeros(logits.shape)
        if bias := self.sampling.logit_bias:
            self._bias[:, mx.array(list(bias))] = mx.array(list(bias.values()))

    def _penalised(self, logits: Array) -> Array:
        sampling = self.sampling
        if sampling.repetition_penalty != 1.0:
            seen = (self._counts + self._in_prompt) > 0
            factor = mx.where(logits > 0, 1.0 / sampling.repetition_penalty, sampling.repetition_penalty)
            logits = mx.where(seen, logits * factor, logits)
        presence, frequency = sampling.presence_penalty, sampling.frequency_penalty
        return logits - presence * (self._counts > 0) - frequency * self._counts


@define(eq=False)
class RowProcessor:
    """What vllm-mlx calls once for each token of a row.

    Every row has one, since mlx-lm 0.31 breaks off a batch in which a row without any joins one with some.
    """

    _penalties: Penalties | None
    _draw: Draw | None

    @classmethod
    def of(cls, sampling: Sampling, prompt: Sequence[int]) -> "RowProcessor":
        """For a row at its beginning."""
        return cls(Penalties.of(sampling, prompt), Draw.of(sampling))

    def __call__(self, tokens: Array, logits: Array) -> Array:
        """Logits of shape (1, vocabulary), whose likeliest token is the next; `tokens` are those before."""
        if self._penalties is not None:
            logits = self._penalties(tokens[-1:], logits)
        return logits if self._draw is None else self._draw(logits)


def _above(logits: Array, threshold: Array) -> Array:
    return mx.where(logits < threshold, -mx.inf, logits)


def _nucleus_threshold(logits: Array, top_p: float) -> Array:
    """The smallest logit of the likeliest tokens that together have the probability `top_p`."""
    ordered = -mx.sort(-logits, axis=-1)
    probabilities = mx.softmax(ordered, axis=-1)
    before = mx.cumsum(probabilities, axis=-1) - probabilities
    inside = mx.where(before < top_p, ordered, mx.inf)
    inside[:, 0] = ordered[:, 0]
    return mx.min(inside, axis=-1, keepdims=True)


def _ids(logits: Array) -> Array:
    return mx.arange(logits.shape[-1])[None]


def _mixed(state: int) -> int:
    """SplitMix64's mixing of a counter (Steele, Lea and Flood, OOPSLA 2014)."""
    state &= WORD
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & WORD
    return state ^ (state >> 31)

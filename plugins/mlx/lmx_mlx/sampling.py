"""From the parameters of a request to what picks its tokens: samplers that a whole batch shares, logits processors."""

import copy
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mlx.core as mx
from attrs import frozen

from lmx_hookspecs import Sampling, TokenRequest
from lmx_mlx import adapter
from lmx_mlx.masking import MaskProcessor

GREEDY_BELOW = 1e-5
"""Temperatures under it are greedy: dividing by them would only overflow."""
SMALLEST_TOP_P = 1e-6
"""`top_p: 0` means the likeliest token; mlx-lm takes it for "off"."""
WHOLE_CONTEXT = 1 << 30
"""mlx-lm's penalties look at the last 20 tokens unless told otherwise."""
WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15

Array = Any
Sampler = Callable[[Array], Array]
Processor = Callable[[Array, Array], Array]


def sampler_for(sampling: Sampling, vocab_size: int, *, drawn: int = 0) -> Sampler:
    """What picks the tokens of a row: the one greedy sampler, or one with a random key of the row's own.

    With a seed, one for a row that has `drawn` so many tokens draws the next as if nothing had come between.
    """
    if sampling.temperature < GREEDY_BELOW:
        greedy: Sampler = adapter.greedy_sampler
        return greedy
    seed = secrets.randbits(64) if sampling.seed is None else sampling.seed
    return KeyedSampler(1.0 / sampling.temperature, Filters.of(sampling, vocab_size), seed, drawn)


@frozen
class Filters:
    """Which tokens may be drawn; neutral values are None."""

    top_p: float | None
    min_p: float | None
    top_k: int | None

    @classmethod
    def of(cls, sampling: Sampling, vocab_size: int) -> "Filters":
        """Those that the request asks for."""
        return cls(
            top_p=max(sampling.top_p, SMALLEST_TOP_P) if sampling.top_p < 1.0 else None,
            min_p=sampling.min_p if sampling.min_p > 0.0 else None,
            top_k=sampling.top_k if 0 < sampling.top_k < vocab_size else None,
        )

    def apply(self, logits: Array) -> Array:
        """Minus infinity for the others, in mlx-lm's order: top_p, min_p, top_k; all before temperature."""
        if self == UNFILTERED:
            return logits
        logits = logits - mx.max(logits, axis=-1, keepdims=True)  # top_p takes exponentials
        with uncompiled():
            if self.top_p is not None:
                logits = adapter.apply_top_p(logits, self.top_p)
            if self.min_p is not None:
                logits = adapter.apply_min_p(logits, self.min_p)
            if self.top_k is not None:
                logits = adapter.apply_top_k(logits, self.top_k)
        return logits


UNFILTERED = Filters(None, None, None)


def ahead_of(sampler: Sampler) -> Sampler:
    """One that will draw what this one is about to, while this one stays where it is."""
    return copy.copy(sampler)


def skip(sampler: Sampler, drawn: int) -> None:
    """Count `drawn` tokens as drawn by the sampler, which others have drawn for it."""
    if isinstance(sampler, KeyedSampler):
        for _ in range(drawn):
            sampler.next_key()


class KeyedSampler:
    """Draws with random keys that depend on the seed and on how many tokens it has drawn, and on nothing else.

    So a row gets the same tokens alone and in any batch, as long as its logits are the same.
    """

    def __init__(self, inverse_temperature: float, filters: Filters, seed: int, drawn: int = 0) -> None:
        self.inverse_temperature = inverse_temperature
        self.filters = filters
        self._state = (_mixed(seed) + drawn * GOLDEN) & WORD

    def __call__(self, logits: Array) -> Array:
        """Ids of shape (1,) from logits or log-probabilities of shape (1, vocabulary)."""
        return _draw([self], logits)

    def next_key(self) -> tuple[int, int]:
        """The two words of the next token's random key."""
        self._state = (self._state + GOLDEN) & WORD
        return divmod(_mixed(self._state), 1 << 32)


def sample(samplers: Sequence[Any], logits: Array) -> Array:
    """Ids (rows,) from logits (rows, vocabulary): one call for all rows that differ in temperature and key only."""
    groups: dict[Filters | None, list[int]] = defaultdict(list)
    for row, sampler in enumerate(samplers):
        groups[getattr(sampler, "filters", None)].append(row)
    if len(groups) == 1:
        return _sample_group(samplers, logits)
    ids = [_sample_group([samplers[row] for row in rows], logits[mx.array(rows)]) for rows in groups.values()]
    order = [row for rows in groups.values() for row in rows]
    return mx.concatenate(ids)[mx.argsort(mx.array(order))]


def processors_for(request: TokenRequest) -> list[Processor]:
    """What changes the logits before sampling: the bias, then the penalties, then the mask.

    The repetition penalty looks at prompt and answer, as it was published; presence and frequency penalties look at
    the whole answer and not at the prompt, as OpenAI defines them.
    """
    sampling, prompt_length = request.sampling, len(request.tokens)
    repetition = sampling.repetition_penalty
    on_everything = adapter.make_logits_processors(
        logit_bias=dict(sampling.logit_bias) or None,
        repetition_penalty=None if repetition == 1.0 else repetition,
        repetition_context_size=WHOLE_CONTEXT,
    )
    on_answer = adapter.make_logits_processors(
        presence_penalty=sampling.presence_penalty,
        presence_context_size=WHOLE_CONTEXT,
        frequency_penalty=sampling.frequency_penalty,
        frequency_context_size=WHOLE_CONTEXT,
    )
    masks = [] if request.mask is None else [MaskProcessor(request.mask, prompt_length)]
    return [*on_everything, *(_on_answer(processor, prompt_length) for processor in on_answer), *masks]


def _sample_group(samplers: Sequence[Any], logits: Array) -> Array:
    if samplers[0] is adapter.greedy_sampler:
        return adapter.greedy_sampler(logits)
    return _draw(samplers, logits)


def _draw(samplers: Sequence[KeyedSampler], logits: Array) -> Array:
    """The Gumbel-max trick, each row with noise from its own key; the samplers share their filters."""
    scale = mx.array([[sampler.inverse_temperature] for sampler in samplers])
    keys = mx.array([sampler.next_key() for sampler in samplers], dtype=mx.uint32)
    width = logits.shape[-1]
    noise = mx.vmap(lambda key: mx.random.gumbel((width,), key=key))(keys)
    return mx.argmax(samplers[0].filters.apply(logits) * scale + noise, axis=-1)


@contextmanager
def uncompiled() -> Iterator[None]:
    """Run mlx-lm's compiled sampling functions as plain ones.

    Compiled, each new value of `top_p`, `min_p` or temperature is a new kernel: half a second of C++ compiler on the
    CPU in which every row stands still, and one more entry of a cache that is never emptied.
    """
    mx.disable_compile()
    try:
        yield
    finally:
        mx.enable_compile()


def _on_answer(processor: Processor, prompt_length: int) -> Processor:
    return lambda tokens, logits: processor(tokens[prompt_length:], logits)


def _mixed(state: int) -> int:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014): near numbers become unrelated ones."""
    state &= WORD
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & WORD
    return state ^ (state >> 31)

"""From logits to a token, for one row: bias, penalties, filters, temperature, and a random number of the row's own."""

import secrets
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from attrs import define, field

from lmx_hookspecs import Sampling

GREEDY_BELOW = 1e-5
"""Temperatures under it are greedy: dividing by them would only overflow."""
FIRST_LOOK = 1024
"""The likeliest tokens that `top_p` looks at before it sorts the whole vocabulary."""
WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


@define(eq=False)
class Draw:
    """Draws the tokens of one row. What it draws depends on its logits, its seed and how many it has drawn, only."""

    sampling: Sampling
    _seed: int
    _answer: Counter[int] = field(factory=Counter, init=False)
    """Tokens of the answer."""
    _seen: set[int] = field(factory=set, init=False)
    """Tokens of prompt and answer."""
    _drawn: int = field(default=0, init=False)
    plain: bool = field(init=False)
    """Whether the likeliest token is all that is asked for."""

    @classmethod
    def of(cls, sampling: Sampling, prompt: Iterable[int]) -> "Draw":
        """For a row that has this prompt; one without a seed gets a random one."""
        draw = cls(sampling, _mixed(secrets.randbits(64) if sampling.seed is None else sampling.seed))
        if sampling.repetition_penalty != 1.0:
            draw._seen = set(prompt)
        return draw

    @plain.default
    def _is_plain(self) -> bool:
        return self.is_greedy and not self.changes_logits

    @property
    def is_greedy(self) -> bool:
        """Whether no chance is involved."""
        return self.sampling.temperature < GREEDY_BELOW

    @property
    def changes_logits(self) -> bool:
        """Whether there is a bias or a penalty."""
        asked = self.sampling
        penalties = asked.presence_penalty or asked.frequency_penalty or asked.repetition_penalty != 1.0
        return bool(asked.logit_bias or penalties)

    def adjusted(self, logits: Any) -> Any:
        """The logits after bias and penalties; a copy if there are any.

        The repetition penalty looks at prompt and answer, as it was published; presence and frequency penalties look
        at the answer alone, as OpenAI defines them.
        """
        if not self.changes_logits:
            return logits
        asked, changed = self.sampling, np.array(logits, dtype=np.float32)
        if asked.logit_bias:
            changed[list(asked.logit_bias)] += np.fromiter(asked.logit_bias.values(), np.float32)
        if asked.repetition_penalty != 1.0 and self._seen:
            seen = np.fromiter(self._seen, np.int64)
            values = changed[seen]
            factor = np.float32(asked.repetition_penalty)
            changed[seen] = np.where(values > 0, values / factor, values * factor)
        if self._answer and (asked.presence_penalty or asked.frequency_penalty):
            tokens = np.fromiter(self._answer.keys(), np.int64)
            counts = np.fromiter(self._answer.values(), np.float32)
            changed[tokens] -= asked.presence_penalty + asked.frequency_penalty * counts
        return changed

    def pick(self, adjusted: Any) -> int:
        """The next token."""
        token = int(adjusted.argmax()) if self.is_greedy else self._pick_by_chance(adjusted)
        self.accept(token)
        return token

    def accept(self, token: int) -> None:
        """Count a token that was drawn."""
        self._drawn += 1
        if self.changes_logits:
            self._answer[token] += 1
            if self.sampling.repetition_penalty != 1.0:
                self._seen.add(token)

    def _pick_by_chance(self, logits: Any) -> int:
        """By the Gumbel-max trick: a tiny change of the logits changes the token only where two are all but tied."""
        ids, values = filtered(logits, self.sampling)
        places = np.arange(len(values), dtype=np.uint64) if ids is None else ids.astype(np.uint64)
        state = _mixed(self._seed + (self._drawn + 1) * GOLDEN)
        chances = values.astype(np.float64) / self.sampling.temperature + gumbel_noise(state, places)
        index = int(chances.argmax())
        return index if ids is None else int(ids[index])


def masked(logits: Any, allowed: bytes) -> Any:
    """Minus infinity for ids whose bit is not set, least significant bit first; those beyond the bits have none."""
    bits = np.unpackbits(np.frombuffer(allowed, np.uint8), bitorder="little")[: len(logits)]
    kept = np.full(len(logits), -np.inf, np.float32)
    ids = np.flatnonzero(bits)
    kept[ids] = logits[ids]
    return kept


def gumbel_noise(state: int, ids: Any) -> Any:
    """One number for each id, which depends on the state and on the id only."""
    mixed = _mixed_array(ids * np.uint64(GOLDEN) + np.uint64(state))
    uniform = ((mixed >> np.uint64(12)).astype(np.float64) + 0.5) / (1 << 52)
    return -np.log(-np.log(uniform))


def filtered(logits: Any, sampling: Sampling) -> tuple[Any, Any]:
    """The ids that may be drawn, rising, and their logits; ids are None where all may.

    In llama.cpp's order: top_k, top_p, min_p, all before the temperature.
    """
    ids, values = None, logits
    if 0 < sampling.top_k < len(logits):
        ids = np.sort(np.argpartition(-logits, sampling.top_k - 1)[: sampling.top_k])
        values = logits[ids]
    if sampling.top_p < 1.0:
        kept = _nucleus(values, sampling.top_p)
        ids, values = kept if ids is None else ids[kept], values[kept]
    if sampling.min_p > 0.0:
        kept = np.flatnonzero(values >= values.max() + np.log(min(sampling.min_p, 1.0)))
        ids, values = kept if ids is None else ids[kept], values[kept]
    return ids, values


def _nucleus(values: Any, top_p: float) -> Any:
    """Places of the fewest likeliest tokens that reach `top_p`, rising; one at least."""
    weights = np.exp((values - values.max()).astype(np.float64))
    wanted = top_p * weights.sum()
    count = min(FIRST_LOOK, len(values))
    while True:
        likeliest = np.argpartition(-weights, count - 1)[:count]
        likeliest = likeliest[np.lexsort((likeliest, -weights[likeliest]))]
        reached = np.cumsum(weights[likeliest])
        if reached[-1] >= wanted or count == len(values):
            enough = int(np.searchsorted(reached, wanted)) + 1
            return np.sort(likeliest[:enough])
        count = min(len(values), 8 * count)


def _mixed(state: int) -> int:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014): near numbers become unrelated ones."""
    state &= WORD
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & WORD
    return state ^ (state >> 31)


def _mixed_array(states: Any) -> Any:
    """The same for an array of 64-bit words."""
    states = (states ^ (states >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    states = (states ^ (states >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return states ^ (states >> np.uint64(31))

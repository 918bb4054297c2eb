"""One row at a time whose next tokens are guessed, and checked in one pass of the model (arXiv 2211.17192).

A guess is accepted where the row's own sampler, with its own random numbers, draws the same token from the model's own
logits. So a text is what it would be without guesses, greedy or sampled, and seeds stay reproducible. A draft model
draws its guesses with the same random numbers (the Gumbel coupling of arXiv 2408.07978): like models then agree often.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mlx.core as mx
from attrs import define, field

from lmx_mlx import adapter, kv_cache
from lmx_mlx.drafting import Drafter
from lmx_mlx.masking import MaskProcessor
from lmx_mlx.sampling import ahead_of, sample, skip
from lmx_mlx.solo import SoloToken


@define(eq=False)
class Speculation:
    """A drafter, and how often it was right."""

    drafter: Drafter
    most: int
    """Tokens that are guessed at a time."""
    drafted: int = 0
    accepted: int = 0

    def describe(self) -> Mapping[str, Any]:
        """For people."""
        return {
            "kind": self.drafter.kind,
            "drafted": self.drafted,
            "accepted": self.accepted,
            "acceptance_rate": round(self.accepted / self.drafted, 3) if self.drafted else None,
        }


@define(eq=False, kw_only=True)
class SpeculativeRow:
    """The row in progress; the cache holds the first `fed` of its tokens."""

    tokens: list[int]
    prompt_length: int
    fed: int
    layers: kv_cache.Layers
    max_tokens: int
    sampler: Any
    processors: Sequence[Any]
    reports_logprobs: bool

    @property
    def masked(self) -> bool:
        """Whether a mask follows it, which takes no token back that it was told: nothing is guessed then."""
        return any(isinstance(process, MaskProcessor) for process in self.processors)

    @property
    def left(self) -> int:
        """Tokens that it may still get."""
        return self.prompt_length + self.max_tokens - len(self.tokens)

    def processed(self, logits: Any, guesses: Sequence[int]) -> Any:
        """Logits of shape (1, vocabulary) after bias and penalties, behind so many guesses."""
        context = mx.array([*self.tokens, *guesses]) if self.processors else None
        for process in self.processors:
            logits = process(context, logits)
        return logits


@define(eq=False)
class SpeculativeSolo:
    """The face of `adapter.Batch`, giving out several tokens of its one row at a time."""

    model: Any
    eos_token_ids: frozenset[int]
    new_layers: Callable[[], kv_cache.Layers]
    speculation: Speculation
    _clock: Callable[[], float] = time.perf_counter
    _row: SpeculativeRow | None = field(default=None, init=False)
    _key: int = field(default=-1, init=False)

    @property
    def decoding(self) -> int:
        """Rows past their prompt: one or none."""
        row = self._row
        return 1 if row is not None and len(row.tokens) > row.prompt_length else 0

    @property
    def reads(self) -> bool:
        """Whether it has a prompt to read."""
        return self._row is not None and self._row.fed < len(self._row.tokens) - 1

    def insert(
        self,
        prompt: Sequence[int],
        *,
        max_tokens: int,
        sampler: Any,
        processors: Sequence[Any],
        reports_logprobs: bool,
        layers: kv_cache.Layers | None,
        held: int,
    ) -> int:
        """Take the row, of whose prompt `layers` hold the first `held` tokens; there is none other."""
        self._key += 1
        self._row = SpeculativeRow(
            tokens=list(prompt),
            prompt_length=len(prompt),
            fed=held,
            layers=self.new_layers() if layers is None else layers,
            max_tokens=max_tokens,
            sampler=sampler,
            processors=processors,
            reports_logprobs=reports_logprobs,
        )
        self.speculation.drafter.begin()
        return self._key

    def next(self, chunk_tokens: int) -> adapter.Progress:
        """One chunk of the prompt, for the model or for the drafter, or some tokens."""
        row = self._row
        if row is None:
            return adapter.Progress()
        if row.fed < len(row.tokens) - 1:
            return self._prefill(row, chunk_tokens)
        if not row.masked and not self.speculation.drafter.catch_up(row.tokens, chunk_tokens):
            return adapter.Progress()
        return adapter.Progress(drawn=self._draw(row))

    def layers_of(self, key: int) -> tuple[kv_cache.Layers, list[int]]:  # noqa: ARG002  the face of a batch
        """The cache of the row, and the tokens that it holds."""
        row = self._row
        return ([], []) if row is None else (row.layers, row.tokens[: row.fed])

    def remove(self, key: int) -> None:
        """Forget the row."""
        if key == self._key:
            self._row = None

    def _prefill(self, row: SpeculativeRow, chunk_tokens: int) -> adapter.Progress:
        began = self._clock()
        chunk = row.tokens[row.fed : len(row.tokens) - 1][:chunk_tokens]
        self.model(mx.array([chunk]), cache=row.layers)
        kv_cache.evaluate(row.layers)
        row.fed += len(chunk)
        return adapter.Progress(prompt_tokens=len(chunk), prompt_s=self._clock() - began)

    def _draw(self, row: SpeculativeRow) -> list[SoloToken]:
        guesses = self._guesses(row)
        tokens, logprobs = self._checked(row, guesses)
        accepted = next((n for n, guess in enumerate(guesses) if tokens[n] != guess), len(guesses))
        drawn = self._until_end(tokens[: accepted + 1])
        kept = min(accepted, len(drawn))
        kv_cache.trim(row.layers, len(guesses) - kept)
        row.fed += 1 + kept
        row.tokens.extend(drawn)
        skip(row.sampler, len(drawn))
        self.speculation.drafted += len(guesses)
        self.speculation.accepted += kept
        return self._told(row, drawn, logprobs)

    def _guesses(self, row: SpeculativeRow) -> list[int]:
        count = min(self.speculation.most, row.left - 1)
        if count < 1 or row.masked:
            return []
        ahead = ahead_of(row.sampler)

        def draw(logits: Any, guesses: Sequence[int]) -> int:
            return int(sample([ahead], row.processed(logits, guesses)).item())

        return self.speculation.drafter.propose(row.tokens, count, draw)

    def _checked(self, row: SpeculativeRow, guesses: Sequence[int]) -> tuple[list[int], Any]:
        """What the row's sampler draws at each place, the guesses before it taken as true."""
        logits = self.model(mx.array([[row.tokens[-1], *guesses]]), cache=row.layers)[0]
        if row.processors:
            places = range(len(guesses) + 1)
            logits = mx.concatenate([row.processed(logits[n : n + 1], guesses[:n]) for n in places])
        if row.reports_logprobs:
            logits = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
        ahead = ahead_of(row.sampler)  # one for all places: it goes on to the next random key by itself
        ids = sample([ahead] * (len(guesses) + 1), logits)
        mx.eval(ids, logits)
        return ids.tolist(), logits

    def _until_end(self, tokens: list[int]) -> list[int]:
        end = next((n + 1 for n, token in enumerate(tokens) if token in self.eos_token_ids), len(tokens))
        return tokens[:end]

    def _told(self, row: SpeculativeRow, drawn: Sequence[int], logprobs: Any) -> list[SoloToken]:
        reason = "length" if row.left <= 0 else None
        reason = "stop" if drawn[-1] in self.eos_token_ids else reason
        told = [
            SoloToken(uid=self._key, token=token, logprobs=logprobs[n], finish_reason=None)
            for n, token in enumerate(drawn[:-1])
        ]
        last = SoloToken(
            uid=self._key,
            token=drawn[-1],
            logprobs=logprobs[len(drawn) - 1],
            finish_reason=reason,
            prompt_cache=None if reason is None else row.layers,
            all_tokens=() if reason is None else row.tokens[: row.fed],
        )
        if reason is not None:
            self._row = None
        return [*told, last]

"""One row at a time, for caches that mlx-lm cannot merge into a batch: quantised ones, Llama 4, DeepSeek V4.1."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import mlx.core as mx
from attrs import define, field, frozen

from lmx_mlx import adapter, kv_cache


@frozen(kw_only=True)
class SoloToken:
    """A token as `BatchGenerator` reports it, the cache and its tokens with the last one."""

    uid: int
    token: int
    logprobs: Any
    finish_reason: str | None
    prompt_cache: kv_cache.Layers | None = None
    all_tokens: Sequence[int] = ()


@define(eq=False, kw_only=True)
class SoloRow:
    """The row in progress."""

    tokens: list[int]
    """The prompt, and what has been drawn: `generate_step` has fed each token by the time that it gives it out."""
    rest: list[int]
    """Prompt tokens that the cache does not hold yet."""
    layers: kv_cache.Layers
    max_tokens: int
    sampler: Any
    processors: Sequence[Any]
    drawn: int = 0
    steps: Iterator[tuple[int, Any]] | None = None


@define(eq=False)
class Solo:
    """The face of `adapter.Batch` over `generate_step`, with the prompt fed in chunks that can be cancelled between."""

    model: Any
    eos_token_ids: frozenset[int]
    new_layers: Callable[[], kv_cache.Layers]
    _clock: Callable[[], float] = time.perf_counter
    _row: SoloRow | None = field(default=None, init=False)
    _key: int = field(default=-1, init=False)

    @property
    def decoding(self) -> int:
        """Rows past their prompt: one or none."""
        return 0 if self._row is None or self._row.steps is None else 1

    @property
    def reads(self) -> bool:
        """Whether it has a prompt to read."""
        return self._row is not None and len(self._row.rest) > 1

    def insert(
        self,
        prompt: Sequence[int],
        *,
        max_tokens: int,
        sampler: Any,
        processors: Sequence[Any],
        layers: kv_cache.Layers | None,
        held: int,
        **_: Any,
    ) -> int:
        """Take the row, of whose prompt `layers` hold the first `held` tokens; there is none other."""
        head = mx.array(list(prompt[:-1]), dtype=mx.int32)
        self._key += 1
        self._row = SoloRow(
            tokens=list(prompt),
            rest=list(prompt[held:]),
            layers=self.new_layers() if layers is None else layers,
            max_tokens=max_tokens,
            sampler=sampler,
            processors=[_after(head, process) for process in processors],
        )
        return self._key

    def next(self, chunk_tokens: int) -> adapter.Progress:
        """One chunk of the prompt, or one token."""
        row = self._row
        if row is None:
            return adapter.Progress()
        if len(row.rest) > 1:
            return self._prefill(row, chunk_tokens)
        return adapter.Progress(drawn=[self._draw(row)])

    def layers_of(self, key: int) -> tuple[kv_cache.Layers, list[int]]:  # noqa: ARG002  the face of a batch
        """The cache of the row, which draws, and the tokens that it holds."""
        return ([], []) if self._row is None else (self._row.layers, list(self._row.tokens))

    def remove(self, key: int) -> None:
        """Forget the row."""
        if key == self._key:
            self._row = None

    def _prefill(self, row: SoloRow, chunk_tokens: int) -> adapter.Progress:
        began = self._clock()
        count = min(chunk_tokens, len(row.rest) - 1)
        chunk, row.rest = row.rest[:count], row.rest[count:]
        self.model(mx.array([chunk]), cache=row.layers)
        kv_cache.evaluate(row.layers)
        return adapter.Progress(prompt_tokens=count, prompt_s=self._clock() - began)

    def _draw(self, row: SoloRow) -> SoloToken:
        if row.steps is None:
            row.steps = adapter.generate_step(
                mx.array(row.rest),
                self.model,
                max_tokens=row.max_tokens,
                sampler=row.sampler,
                logits_processors=list(row.processors),
                prompt_cache=row.layers,
            )
        token, logprobs = next(row.steps)
        row.tokens.append(token)
        row.drawn += 1
        reason = "length" if row.drawn >= row.max_tokens else None
        reason = "stop" if token in self.eos_token_ids else reason
        if reason is None:
            return SoloToken(uid=self._key, token=token, logprobs=logprobs, finish_reason=None)
        self._row = None
        return SoloToken(
            uid=self._key,
            token=token,
            logprobs=logprobs,
            finish_reason=reason,
            prompt_cache=row.layers,
            all_tokens=row.tokens,
        )


def _after(head: Any, process: Any) -> Any:
    """`generate_step` shows a processor the tokens it was given: the last of the prompt, and what came after."""
    return lambda tokens, logits: process(mx.concatenate([head, tokens]), logits)

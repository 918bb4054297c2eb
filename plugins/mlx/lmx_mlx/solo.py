"""One row at a time, for models whose caches mlx-lm cannot merge into a batch (Llama 4, DeepSeek V4.1)."""

from collections.abc import Iterator, Sequence
from typing import Any

import mlx.core as mx
from attrs import define, field, frozen

from lmx_mlx import adapter


@frozen(kw_only=True)
class SoloToken:
    """A token as `BatchGenerator` reports it; the cache is not kept."""

    uid: int
    token: int
    logprobs: Any
    finish_reason: str | None
    prompt_cache: None = None
    all_tokens: Sequence[int] = ()


@define(eq=False, kw_only=True)
class SoloRow:
    """The row in progress."""

    rest: list[int]
    """Prompt tokens that the cache does not hold yet."""
    layers: adapter.Layers
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
    _row: SoloRow | None = None
    _key: int = field(default=-1)

    @property
    def decoding(self) -> int:
        """Rows past their prompt: one or none."""
        return 0 if self._row is None or self._row.steps is None else 1

    def insert(
        self,
        prompt: Sequence[int],
        *,
        max_tokens: int,
        sampler: Any,
        processors: Sequence[Any],
        **_: Any,
    ) -> int:
        """Take the row; there is none other."""
        head = mx.array(list(prompt[:-1]), dtype=mx.int32)
        self._key += 1
        self._row = SoloRow(
            rest=list(prompt),
            layers=adapter.make_prompt_cache(self.model),
            max_tokens=max_tokens,
            sampler=sampler,
            processors=[_after(head, process) for process in processors],
        )
        return self._key

    def next(self, chunk_tokens: int) -> adapter.Progress:
        """One chunk of the prompt, or one token."""
        row = self._row
        if row is None:
            return adapter.Progress(drawn=(), prompt_tokens=0, prompt_s=0.0, prefilled=())
        if len(row.rest) > 1:
            return self._prefill(row, chunk_tokens)
        return adapter.Progress(drawn=[self._draw(row)], prompt_tokens=0, prompt_s=0.0, prefilled=())

    def layers_of(self, key: int) -> tuple[adapter.Layers, list[int]]:  # noqa: ARG002  the face of a batch
        """Nothing worth keeping."""
        return [], []

    def remove(self, key: int) -> None:
        """Forget the row."""
        if key == self._key:
            self._row = None

    def _prefill(self, row: SoloRow, chunk_tokens: int) -> adapter.Progress:
        count = min(chunk_tokens, len(row.rest) - 1)
        chunk, row.rest = row.rest[:count], row.rest[count:]
        self.model(mx.array([chunk]), cache=row.layers)
        adapter.evaluate(row.layers)
        return adapter.Progress(drawn=(), prompt_tokens=len(chunk), prompt_s=0.0, prefilled=())

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
        row.drawn += 1
        reason = "length" if row.drawn >= row.max_tokens else None
        reason = "stop" if token in self.eos_token_ids else reason
        if reason is not None:
            self._row = None
        return SoloToken(uid=self._key, token=token, logprobs=logprobs, finish_reason=reason)


def _after(head: Any, process: Any) -> Any:
    """`generate_step` shows a processor the tokens it was given: the last of the prompt, and what came after."""
    return lambda tokens, logits: process(mx.concatenate([head, tokens]), logits)

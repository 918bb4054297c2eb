# ruff: noqa: SLF001  BatchGenerator shows neither its batches nor its counters otherwise
"""Reaches inside mlx-lm, with `lean_batches.py`: both are tied to the minor version that `pyproject.toml` pins.

`BatchGenerator` stands outside mlx-lm's public names, and a few of its attributes are used here. What it does per
`next()`: one decode step for the rows that generate; then rows of whose prompt one token is left begin to generate;
then it reads one chunk of each other prompt. `Batch` asks for these one at a time.
"""

from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx
from attrs import frozen
from mlx_lm.generate import BatchGenerator, GenerationBatch, generate_step, generation_stream
from mlx_lm.sample_utils import apply_min_p, apply_top_k, apply_top_p, greedy_sampler, make_logits_processors
from mlx_lm.tuner.lora import LoRALinear
from mlx_lm.tuner.utils import load_adapters
from mlx_lm.utils import _get_classes as get_model_classes
from mlx_lm.utils import load_model, load_tokenizer

from lmx_mlx.kv_cache import Layers
from lmx_mlx.lean_batches import LeanGenerationBatch, LeanPromptBatch

__all__ = [
    "Batch",
    "LoRALinear",
    "Progress",
    "apply_min_p",
    "apply_top_k",
    "apply_top_p",
    "generate_step",
    "get_model_classes",
    "greedy_sampler",
    "load_adapters",
    "load_model",
    "load_tokenizer",
    "make_logits_processors",
    "synchronize",
]


@frozen(kw_only=True)
class Progress:
    """What one call gave: tokens, and how far the prompts have come."""

    drawn: Sequence[Any] = ()
    """mlx-lm's responses: `uid`, `token`, `finish_reason`; `logprobs` for rows that report them; on the last token of
    a row `prompt_cache`, not yet computed, and `all_tokens`, which it holds."""
    prompt_tokens: int = 0
    prompt_s: float = 0.0
    prefilled: Sequence[int] = ()
    """Rows of which one prompt token is left."""
    begun: int = 0
    """Rows that are beginning to decode: the call held more than one step of theirs, or less."""


class Batch:
    """Rows that advance together, padded to the longest; a thin face of `BatchGenerator`."""

    def __init__(
        self,
        model: Any,
        eos_token_ids: frozenset[int],
        *,
        sample: Callable[[Sequence[Any], Any], Any],
        max_rows: int,
        prefill_rows: int,
    ) -> None:
        self._generator = BatchGenerator(
            model,
            stop_tokens=[(token,) for token in sorted(eos_token_ids)],
            completion_batch_size=max_rows,
            prefill_batch_size=min(prefill_rows, max_rows),
        )
        self._generator._prompt_batch = LeanPromptBatch.empty(model, greedy_sampler)
        self._generation = LeanGenerationBatch.empty(model, greedy_sampler)
        self._generation.reporting = self._reporting = set[int]()
        self._generation.sample = sample
        self._generation.gives_first_alone = mx.default_device() == mx.cpu
        self._generator._generation_batch = self._generation
        self._prefill_rows = min(prefill_rows, max_rows)
        self._decoded = False

    @property
    def decoding(self) -> int:
        """Rows past their prompt."""
        return len(self._generation)

    @property
    def reads(self) -> bool:
        """Whether it has prompts to read."""
        return bool(self._generator._currently_processing or self._generator._unprocessed_sequences)

    def insert(
        self,
        prompt: Sequence[int],
        *,
        max_tokens: int,
        sampler: Any,
        processors: Sequence[Any],
        reports_logprobs: bool,
        layers: Layers | None,
        held: int,
    ) -> int:
        """Queue a row whose first `held` prompt tokens are in `layers`; return the key that its tokens will carry."""
        (key,) = self._generator.insert(
            [list(prompt[held:])],
            [max_tokens],
            caches=[layers],
            all_tokens=[list(prompt[:held])],
            samplers=[sampler],
            logits_processors=[list(processors)],
        )
        if reports_logprobs:
            self._reporting.add(key)
        return int(key)

    def next(self, chunk_tokens: int) -> Progress:
        """One decode step, or `chunk_tokens` of prompt shared out among rows; in turn, where there are both.

        So a token never waits for prompts that are read after it, and a row whose prompt is through draws at once.
        """
        begun = 0
        if any(_left(segments) == 0 for segments, *_ in self._generator._currently_processing):
            begun = self._read(rows=0, tokens_each=0).begun
        if self.decoding and not (self._decoded and self.reads):
            self._decoded = True
            return self._decode(begun)
        self._decoded = False
        if self.decoding:
            mx.eval(self._generation._next_tokens)  # so that the time of the chunk is its own
        rows, readers = self._rows_to_read(chunk_tokens)
        return self._read(rows=rows, tokens_each=max(1, chunk_tokens // max(1, readers)))

    def _decode(self, begun: int) -> Progress:
        self._share_out(rows=0, tokens_each=0)
        begun = begun or self._generation.beginning
        _, drawn = self._generator.next()
        self._reporting.difference_update(response.uid for response in drawn if response.finish_reason)
        return Progress(drawn=drawn, begun=begun)

    def _read(self, *, rows: int, tokens_each: int) -> Progress:
        """Let rows whose prompt is through begin to decode, and read on in `rows` others."""
        generator, counters = self._generator, self._generator._counters
        tokens, seconds = counters.prompt_tokens, counters.prompt_time
        self._share_out(rows, tokens_each)
        generator._generation_batch = begun = GenerationBatch.empty(generator.model, greedy_sampler)
        try:
            prompts, _ = generator.next()
        finally:
            generator._generation_batch = self._generation
        if begun:
            with mx.stream(generator.stream):
                self._generation.extend(begun)
        return Progress(
            prompt_tokens=counters.prompt_tokens - tokens,
            prompt_s=counters.prompt_time - seconds,
            prefilled=[it.uid for it in prompts if not it.end_of_prompt and it.progress[0] == it.progress[1] - 1],
            begun=len(begun),
        )

    def _share_out(self, rows: int, tokens_each: int) -> None:
        """What the next call of the generator may read: nothing, or so much of each row that prefills."""
        generator = self._generator
        generator.prefill_batch_size = max(rows, len(generator._currently_processing))
        generator.prefill_step_size = tokens_each

    def _rows_to_read(self, chunk_tokens: int) -> tuple[int, int]:
        """As many in order of arrival as the chunk takes, so that the first are through while others wait.

        And of those the ones that have something to read: of the others all but one token is cached.
        """
        lengths = [_left(segments) for segments, *_ in self._generator._currently_processing]
        for _, segments, *_ in self._generator._unprocessed_sequences:
            length = _left(segments)
            if len(lengths) >= self._prefill_rows or (lengths and sum(lengths) + length > chunk_tokens):
                break
            lengths.append(length)
        return len(lengths), sum(length > 0 for length in lengths)

    def layers_of(self, key: int) -> tuple[Layers, list[int]]:
        """A copy of a row's cache, and the tokens it holds."""
        with mx.stream(self._generator.stream):
            layers, tokens = self._generator.extract_cache([key])[key]
        return layers, list(tokens)

    def remove(self, key: int) -> None:
        """Forget a row in whatever stage it is."""
        self._reporting.discard(key)
        with mx.stream(self._generator.stream):
            self._generator.remove([key])


def _left(segments: Sequence[Sequence[int]]) -> int:
    """Tokens of a prompt to read before its last one, with which decoding begins."""
    return sum(map(len, segments)) - 1


def synchronize() -> None:
    """Wait for everything that generation has in flight."""
    mx.synchronize(generation_stream)

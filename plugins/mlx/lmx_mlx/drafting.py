"""Where the guesses of speculative decoding come from: a draft model, or the text itself."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import mlx.core as mx
from attrs import define, field

from lmx_hookspecs import ModelInfo
from lmx_hookspecs.errors import UnsupportedParameter
from lmx_mlx import facts, kv_cache
from lmx_mlx.lookup import PromptLookup
from lmx_mlx.model import LoadedModel
from lmx_mlx.reading import Read, read, refuse_remote_code
from lmx_mlx.settings import Settings

Draw = Callable[[Any, Sequence[int]], int]
"""Draws a token from logits of shape (1, vocabulary) as the row itself will, after so many guesses."""


class Drafter(Protocol):
    """Guesses how a row goes on; one row at a time."""

    @property
    def kind(self) -> str:
        """The setting that asked for it."""

    def begin(self) -> None:
        """A row of other tokens begins."""

    def catch_up(self, tokens: Sequence[int], most: int) -> bool:
        """Read up to `most` of the row's tokens; whether it is ready to guess."""

    def propose(self, tokens: Sequence[int], count: int, draw: Draw) -> list[int]:
        """Up to `count` tokens that may follow; all of them ids of the target's vocabulary."""


@define(eq=False)
class DraftModel:
    """A smaller network with the same tokenizer and a KV cache of its own, which stays for the row that comes next."""

    _network: Any
    _new_layers: Callable[[], kv_cache.Layers]
    _vocab_size: int
    """Ids below it are safe to feed to this network."""
    _target_width: int
    """Ids below it are the target's."""
    kind: str = field(default="draft_model", init=False)
    _layers: kv_cache.Layers = field(init=False)
    _held: list[int] = field(factory=list, init=False)

    @_layers.default
    def _no_layers(self) -> kv_cache.Layers:
        return self._new_layers()

    def begin(self) -> None:
        """Nothing: what the row shares with the one before it is kept."""

    def catch_up(self, tokens: Sequence[int], most: int) -> bool:
        """Read the next part of the row, all but its last token; rows with ids that it lacks are left to the target."""
        self._cut_to(tokens)
        unread = tokens[len(self._held) : len(tokens) - 1][:most]
        if unread and max(unread) < self._vocab_size:
            self._network(mx.array([unread]), cache=self._layers)
            kv_cache.evaluate(self._layers)
            self._held.extend(unread)
        return not unread or max(unread) >= self._vocab_size or len(self._held) == len(tokens) - 1

    def propose(self, tokens: Sequence[int], count: int, draw: Draw) -> list[int]:
        """What it would say, drawn with the row's own random numbers, so that like models draw alike."""
        self._cut_to(tokens)
        unread = list(tokens[len(self._held) :])
        guesses: list[int] = []
        while len(guesses) < count and max(unread) < self._vocab_size:
            logits = self._network(mx.array([unread]), cache=self._layers)[:, -1, :]
            self._held.extend(unread)
            guesses.append(draw(self._fitted(logits), guesses))
            unread = guesses[-1:]
        return guesses

    def _cut_to(self, tokens: Sequence[int]) -> None:
        """Forget what does not belong to this row, and always its last token, whose logits are wanted."""
        common = min(_common_length(self._held, tokens), len(tokens) - 1)
        kv_cache.trim(self._layers, len(self._held) - common)
        del self._held[common:]

    def _fitted(self, logits: Any) -> Any:
        """As wide as the target's: both may have rows that no token uses, and not the same number of them."""
        missing = self._target_width - logits.shape[-1]
        if missing <= 0:
            return logits[:, : self._target_width]
        return mx.pad(logits, [(0, 0), (0, missing)], constant_values=-mx.inf)


def drafter_of(model: LoadedModel, info: ModelInfo, settings: Settings, *, float32_on_cpu: bool) -> Drafter | None:
    """What the settings ask for, loaded; raises UnsupportedParameter where it cannot work with this model."""
    if settings.drafts is None:
        return None
    _check_caches(info.id, model.network, settings.drafts)
    if settings.draft_model is None:
        return PromptLookup()
    if info.draft is None or not info.draft.is_dir():
        raise _refusal(info.id, settings.draft_model, "it has no folder on disk; download it first")
    if not settings.ignore_remote_code:
        refuse_remote_code(info.draft, settings.draft_model)
    files = read(info.draft, settings.draft_model, float32_on_cpu=float32_on_cpu)
    _check_vocabulary(info.id, settings.draft_model, model, files)
    _check_caches(settings.draft_model, files.network, settings.drafts)
    width = int(files.network(mx.array([[0]])).shape[-1])
    return DraftModel(
        files.network,
        partial(kv_cache.new_layers, files.network),
        facts.vocab_size(files.network, width),
        model.logits_width,
    )


def _check_vocabulary(model_id: str, draft_id: str, model: LoadedModel, files: Read) -> None:
    """The ids of one must mean the same in the other."""
    own, other = model.tokenizer.wrapper.get_vocab(), files.wrapper.get_vocab()
    if own == other:
        return
    differing = sorted(token for token in own.keys() | other.keys() if own.get(token) != other.get(token))
    raise _refusal(
        model_id,
        draft_id,
        f"their tokenizers differ ({len(own)} and {len(other)} tokens, {differing[0]!r} is {own.get(differing[0])} and "
        f"{other.get(differing[0])}); choose a draft model of the same family",
    )


def _check_caches(model_id: str, network: Any, setting: str) -> None:
    kinds = kv_cache.untrimmable(kv_cache.new_layers(network))
    if kinds:
        raise UnsupportedParameter(
            f"{model_id} cannot be used with {setting}: a wrong guess has to be taken back, and its caches "
            f"({', '.join(sorted(kinds))}) cannot be cut; leave {setting} out",
            param=setting,
        )


def _refusal(model_id: str, draft_id: str, reason: str) -> UnsupportedParameter:
    return UnsupportedParameter(f"{draft_id} cannot draft for {model_id}: {reason}", param="draft_model")


def _common_length(left: Sequence[int], right: Sequence[int]) -> int:
    """By halving: comparing slices costs little beside comparing items."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low

"""Why a prompt found nothing in the prefix cache, in words."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from attrs import define, field

from lmx_mlx.cache_files import common_length

BEGINNING = 32
"""Tokens by which what is gone is known again."""
MOST_KNOWN = 512


@define(eq=False)
class Absences:
    """What the cache no longer has, or never took, by the beginning of its tokens; the newest ones only."""

    _reasons: OrderedDict[bytes, str] = field(factory=OrderedDict, init=False)

    def note(self, tokens: Any, reason: str) -> None:
        """Tokens like these are not there, and this is why."""
        key = _key(tokens)
        self._reasons.pop(key, None)
        self._reasons[key] = reason
        if len(self._reasons) > MOST_KNOWN:
            self._reasons.popitem(last=False)

    def reason(self, wanted: Any, held: Sequence[Any], shortest: int) -> str:
        """For a prompt of which no entry serves `shortest` tokens; `held` are the tokens of the entries there are."""
        if len(wanted) < shortest:
            return f"the prompt has {len(wanted) + 1} tokens; prompts of up to {shortest} are computed anew"
        known = self._reasons.get(_key(wanted))
        if known is not None:
            return f"an entry with the same first {BEGINNING} tokens is gone: {known}"
        if not held:
            return "the cache is empty"
        common = max(common_length(tokens, wanted) for tokens in held)
        if common >= shortest:
            return f"the nearest entry shares {common} tokens, and caches of this model can only be used whole"
        return f"no entry shares the first {shortest} tokens; the nearest diverges at token {common}"


def _key(tokens: Any) -> bytes:
    return bytes(tokens[:BEGINNING].tobytes())

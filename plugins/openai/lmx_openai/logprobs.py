"""Log-probabilities in the two shapes of the OpenAI API."""

import codecs
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from attrs import define, field

from lmx_hookspecs import TokenLogprob

LEAST = -9999.0
"""What the API writes for a token that was all but impossible: JSON has no minus infinity."""


class LogprobsEncoder(Protocol):
    """Writes the log-probabilities of one choice, in order."""

    def encode(self, tokens: Sequence[TokenLogprob]) -> Mapping[str, Any]:
        """The next tokens."""


@define
class ChatLogprobs:
    """Of chat completions."""

    def encode(self, tokens: Sequence[TokenLogprob]) -> Mapping[str, Any]:
        """One entry per token, with its bytes and alternatives."""
        return {
            "content": [{**_entry(token), "top_logprobs": [_entry(other) for other in token.top]} for token in tokens]
        }


@define
class LegacyLogprobs:
    """Of completions: parallel lists, and where in the text each token starts, in characters."""

    _offset: int = 0
    _decoder: codecs.IncrementalDecoder = field(factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"))

    def encode(self, tokens: Sequence[TokenLogprob]) -> Mapping[str, Any]:
        """One place in each list per token."""
        return {
            "tokens": [token.token for token in tokens],
            "token_logprobs": [finite(token.logprob) for token in tokens],
            "top_logprobs": [{other.token: finite(other.logprob) for other in token.top} for token in tokens],
            "text_offset": [self._advance(token) for token in tokens],
        }

    def _advance(self, token: TokenLogprob) -> int:
        start = self._offset
        self._offset += len(self._decoder.decode(token.token_bytes))
        return start


def finite(logprob: float) -> float:
    """The log-probability as JSON can hold it."""
    return max(LEAST, logprob)


def _entry(token: TokenLogprob) -> dict[str, Any]:
    return {"token": token.token, "logprob": finite(token.logprob), "bytes": list(token.token_bytes)}

"""Streaming detokenizers that engines share."""

import codecs
from collections.abc import Callable

from attrs import define, field


@define(eq=False)
class ByteDetokenizer:
    """A Detokenizer, exact and linear: the text is the UTF-8 of the tokens' bytes, no more and no less."""

    _token_bytes: Callable[[int], bytes]
    _decoder: codecs.IncrementalDecoder = field(
        factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"), init=False
    )

    def add(self, token: int) -> str:
        """The text that this token completes."""
        return self._decoder.decode(self._token_bytes(token))

    def finish(self) -> str:
        """What is still held back, with U+FFFD for a broken character."""
        return self._decoder.decode(b"", final=True)

"""From the inputs of a request to token ids, within bounds."""

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import frozen

from lmx_hookspecs.errors import ContextLengthExceeded, InvalidRequest

Input = str | Sequence[int]

CHARS_PER_TOKEN = 64
"""A text that is longer than so many times the limit of tokens is refused unread: no language has such words."""
CHARS_A_PART = 32_768
"""Texts of so many characters are taken together: a few milliseconds, after which others get their turn."""
SHOWN_CHARS = 24


def parts(inputs: Sequence[Input]) -> Iterator[Sequence[Input]]:
    """The inputs in their order, so many at a time that none but a long one takes long."""
    part: list[Input] = []
    size = 0
    for given in inputs:
        part.append(given)
        size += len(given)
        if size >= CHARS_A_PART:
            yield part
            part, size = [], 0
    if part:
        yield part


@frozen(eq=False)
class Reader:
    """Turns inputs into token ids and refuses those that have none, too many, or ones that the model does not know."""

    tokenizer: Any
    """A `tokenizers.Tokenizer`."""
    vocab_size: int
    max_tokens: int

    def read(self, inputs: Sequence[Input]) -> list[Sequence[int]]:
        """Token ids, none empty; raises InvalidRequest, naming the field `input`."""
        for given in inputs:
            self._check_length(given)
        texts = [given for given in inputs if isinstance(given, str)]
        encoded = iter(self.tokenizer.encode_batch_fast(texts, add_special_tokens=False))
        read = [next(encoded).ids if isinstance(given, str) else self._known(given) for given in inputs]
        for given, tokens in zip(inputs, read, strict=True):
            self._check_count(given, len(tokens))
        return read

    def _check_length(self, given: Input) -> None:
        most = self.max_tokens * CHARS_PER_TOKEN
        if isinstance(given, str) and len(given) > most:
            raise _too_long(f"{_shown(given)} has {len(given)} characters; at most {most} are read, {self._advice()}")

    def _check_count(self, given: Input, tokens: int) -> None:
        if not tokens:
            raise InvalidRequest(
                f"{_shown(given)} has no tokens; send text, and leave empty ones out",
                code="invalid_input",
                param="input",
            )
        if tokens > self.max_tokens:
            raise _too_long(f"{_shown(given)} has {tokens} tokens; {self._advice()}")

    def _known(self, ids: Sequence[int]) -> Sequence[int]:
        if ids and not 0 <= min(ids) <= max(ids) < self.vocab_size:
            stranger = next(token for token in ids if not 0 <= token < self.vocab_size)
            raise InvalidRequest(
                f"there is no token {stranger}; the ids of this model are 0 to {self.vocab_size - 1}", param="input"
            )
        return ids

    def _advice(self) -> str:
        return f"this model embeds up to {self.max_tokens} tokens at once: split the text"


def _shown(given: Input) -> str:
    if not isinstance(given, str):
        return "an input of token ids"
    return f"the input {given[:SHOWN_CHARS]!r}" + ("…" if len(given) > SHOWN_CHARS else "")


def _too_long(message: str) -> ContextLengthExceeded:
    return ContextLengthExceeded(message, param="input")

"""A model's tokenizer as llguidance wants it."""

from collections.abc import Sequence

from attrs import Factory, field, frozen
from llguidance import LLTokenizer, TokenizerWrapper

from lmx_hookspecs import Tokenizer

MARK = b"\xff"
"""Begins the bytes of a token that stands for a mark: no text holds it, since no UTF-8 does."""


@frozen(eq=False)
class _Tokens:
    """What llguidance's TokenizerWrapper asks for."""

    _tokenizer: Tokenizer
    eos_token_id: int
    tokens: Sequence[bytes]
    special_token_ids: Sequence[int]
    bos_token_id: int | None = None
    _beginning: list[int] = field(init=False, default=Factory(lambda self: self._tokenizer.encode(""), takes_self=True))
    """What a prompt begins with."""

    def __call__(self, text: str) -> list[int]:
        """Ids of a text, without those that a prompt begins with."""
        tokens = self._tokenizer.encode(text)
        begin = len(self._beginning)
        return tokens[begin:] if tokens[:begin] == self._beginning else tokens


@frozen(eq=False)
class Vocabulary:
    """The tokens of a model: for llguidance, and by their bytes."""

    ll: LLTokenizer
    tokens: Sequence[bytes]
    eos_token_ids: frozenset[int]
    by_bytes: dict[bytes, int] = field(init=False)
    """The first id of each text."""

    @by_bytes.default
    def _by_bytes(self) -> dict[bytes, int]:
        return {written: token for token, written in reversed([*enumerate(self.tokens)]) if written[:1] != MARK}


def vocabulary_of(tokenizer: Tokenizer) -> Vocabulary:
    """Takes about a second for a vocabulary of 150,000 tokens."""
    ends = sorted(tokenizer.eos_token_ids)
    marks = tokenizer.special_token_ids | tokenizer.eos_token_ids
    tokens = [_written(tokenizer, token, token in marks) for token in range(tokenizer.vocab_size)]
    wrapped = TokenizerWrapper(_Tokens(tokenizer, ends[0] if ends else 0, tokens, sorted(marks)))
    return Vocabulary(LLTokenizer(wrapped, eos_token=ends or None), tokens, frozenset(ends))


def _written(tokenizer: Tokenizer, token: int, is_mark: bool) -> bytes:
    written = tokenizer.token_bytes(token)
    if is_mark or not written:
        return MARK + (written or f"<unused {token}>".encode())
    return written

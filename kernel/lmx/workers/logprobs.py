"""Log-probabilities on their way out: written as the vocabulary writes its tokens, and no earlier than their text."""

from collections import deque
from typing import Any

from attrs import define, field

from lmx_hookspecs.engines import Tokenizer, TokenPiece

LEAST_LOGPROB = -9999.0
"""Stands for minus infinity, which JSON cannot write."""
Placed = tuple[int, dict[str, Any]]
"""Where the text of a token begins, and its entry."""


@define(eq=False)
class Vocabulary:
    """Tokens as text and bytes, looked up once each."""

    _tokenizer: Tokenizer
    _known: dict[int, tuple[str, bytes]] = field(factory=dict, init=False)

    def entry(self, token: int, logprob: float, top: list[Any]) -> dict[str, Any]:
        """A `TokenLogprob` as frames carry it."""
        text, token_bytes = self._known.get(token) or self._look_up(token)
        least = max(LEAST_LOGPROB, logprob)
        return {"token": text, "token_bytes": token_bytes, "logprob": least, "top": top}

    def _look_up(self, token: int) -> tuple[str, bytes]:
        token_bytes = self._tokenizer.token_bytes(token)
        self._known[token] = (token_bytes.decode(errors="replace"), token_bytes)
        return self._known[token]


@define(eq=False)
class HeldLogprobs:
    """The log-probabilities of one row; each goes out with the piece in which the text of its token begins."""

    _vocabulary: Vocabulary
    _alternatives: int
    _read: bool
    """Whether a reader tells which tokens are part of the text; else all are."""
    _made: deque[Placed] = field(factory=deque, init=False)
    """By where their text begins in what the row made: a reader has still to tell what they are."""
    _said: deque[Placed] = field(factory=deque, init=False)
    """By where their text begins in the text for the client."""

    def add(self, piece: TokenPiece, begins_at: int) -> None:
        """A token whose text begins after `begins_at` characters of what the row made."""
        if piece.token is None or piece.logprob is None:
            return
        top = [self._vocabulary.entry(token, logprob, []) for token, logprob in piece.top[: self._alternatives]]
        entry = self._vocabulary.entry(piece.token, piece.logprob, top)
        (self._made if self._read else self._said).append((begins_at, entry))

    def place(self, content: tuple[int, int], settled: int, said_chars: int, chars: int) -> None:
        """So many characters that stand in a span of what the row made are text, behind `said_chars` others.

        Tokens elsewhere before `settled` are nobody's.
        """
        begin, end = content
        while self._made and self._made[0][0] < settled:
            begins_at, entry = self._made.popleft()
            ends_at = self._made[0][0] if self._made else settled
            if begin <= begins_at < end or begins_at < begin < ends_at:  # white space before the text may be markup's
                self._said.append((said_chars + max(0, min(begins_at - begin, chars - 1)), entry))

    def take(self, given_chars: int) -> list[dict[str, Any]]:
        """Those of the tokens whose text begins within the first `given_chars` characters."""
        out = []
        while self._said and self._said[0][0] < given_chars:
            out.append(self._said.popleft()[1])
        return out

    def take_all(self) -> list[dict[str, Any]]:
        """All that are left: the row has ended by itself."""
        out = [entry for _, entry in self._said]
        self._said.clear()
        return out

"""Log-probabilities on their way out: written as the vocabulary writes its tokens, and no earlier than their text."""

from typing import Any

from attrs import define, field

from lmx_hookspecs.engines import Tokenizer, TokenPiece

LEAST_LOGPROB = -9999.0
"""Stands for minus infinity, which JSON cannot write."""


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
    _held: list[tuple[int, dict[str, Any]]] = field(factory=list, init=False)

    def add(self, piece: TokenPiece, begins_at: int) -> None:
        """A token whose text begins after `begins_at` characters of the row's text."""
        if piece.token is None or piece.logprob is None:
            return
        top = [self._vocabulary.entry(token, logprob, []) for token, logprob in piece.top[: self._alternatives]]
        self._held.append((begins_at, self._vocabulary.entry(piece.token, piece.logprob, top)))

    def take(self, given_chars: int) -> list[dict[str, Any]]:
        """Those of the tokens whose text begins within the first `given_chars` characters."""
        out = [entry for begins_at, entry in self._held if begins_at < given_chars]
        self._held = self._held[len(out) :]
        return out

    def take_within(self, span: tuple[int, int], settled: int) -> list[dict[str, Any]]:
        """Those of the tokens whose text begins within the span; the others before `settled` are nobody's."""
        out = [entry for begins_at, entry in self._held if span[0] <= begins_at < span[1]]
        self._held = [held for held in self._held if held[0] >= settled]
        return out

    def take_all(self) -> list[dict[str, Any]]:
        """All that are left: the row has ended by itself."""
        out = [entry for _, entry in self._held]
        self._held = []
        return out

"""A mask that holds from the end of the reasoning on, and reasoning that ends when its tokens are used up."""

from collections.abc import Callable, Sequence

from attrs import define, field, frozen

from lmx_hookspecs.constraints import TokenMask
from lmx_hookspecs.engines import Detokenizer, Tokenizer


@frozen(kw_only=True)
class Thinking:
    """How one answer may reason: what begins and ends that, and where it stands at the start."""

    begins: str
    ends: str
    begun: bool = False
    """The prompt has begun it already."""
    budget: int | None = None
    """Tokens after which it is ended."""


def thinking_of(
    pairs: Sequence[tuple[str, str]], prompt_end: str, *, begun: bool, budget: int | None
) -> Thinking | None:
    """What holds for an answer to this prompt; None where it does not reason any more, or never does.

    `begun` says that it begins inside reasoning, whatever the prompt looks like.
    """
    last_words = prompt_end.rstrip()
    for begins, ends in pairs:
        if last_words.endswith(ends):
            return None
        if last_words.endswith(begins):
            return Thinking(begins=begins, ends=ends, begun=True, budget=budget)
    if not pairs:
        return None
    begins, ends = pairs[0]
    return Thinking(begins=begins, ends=ends, begun=begun, budget=budget)


@define(eq=False)
class GatedMask:
    """A TokenMask for an answer that may reason first; another one holds for the rest of it."""

    _make: Callable[[int], TokenMask] | None
    """Makes the mask, for so many tokens."""
    _room: int
    """Tokens that the whole answer may have."""
    _thinking: Thinking
    _tokenizer: Tokenizer
    _mask: TokenMask | None = field(init=False)
    _inside: bool = field(init=False)
    _at_start: bool = field(default=True, init=False)
    _spent: int = field(default=0, init=False)
    _tail: str = field(default="", init=False)
    """The end of the text so far, as long as a tag may have begun in it."""
    _detokenizer: Detokenizer = field(init=False)
    _first: int | None = field(init=False)
    """The token that begins reasoning, where one token does."""
    _end: list[int] = field(init=False)
    """The tokens that end it."""
    _closing: list[int] = field(init=False)
    """Those of them that are to come, the next one last."""

    def __attrs_post_init__(self) -> None:
        self._mask = self._made()
        self._inside = self._thinking.begun
        self._detokenizer = self._tokenizer.detokenizer()
        begin = _tokens_of(self._tokenizer, self._thinking.begins)
        self._first = begin[0] if len(begin) == 1 else None
        self._end = _tokens_of(self._tokenizer, self._thinking.ends)
        self._closing = self._end[::-1]

    @property
    def failure(self) -> str | None:
        """Why the mask could not go on."""
        return None if self._mask is None else self._mask.failure

    def allowed(self) -> bytes | None:
        """Anything while it reasons and may go on."""
        if self._inside:
            return _only(self._closing[-1], self._tokenizer.vocab_size) if self._is_over() else None
        allowed = None if self._mask is None else self._mask.allowed()
        if allowed is None or not self._at_start or self._first is None:
            return allowed
        return _with(allowed, self._first)

    def accept(self, token: int) -> None:
        """Move on."""
        begins = self._at_start and not self._inside and token == self._first
        self._at_start = False
        if begins:
            self._inside = True
        elif self._inside:
            self._think(token)
        elif self._mask is not None:
            self._mask.accept(token)
        else:
            self._look_for(self._thinking.begins, token)

    def _is_over(self) -> bool:
        budget = self._thinking.budget
        return budget is not None and self._spent >= budget and bool(self._closing)

    def _think(self, token: int) -> None:
        if self._is_over():
            self._closing.pop()
        self._spent += 1
        behind = self._look_for(self._thinking.ends, token)
        if self._inside:
            return
        self._mask, self._closing = self._made(), self._end[::-1]
        if behind and self._mask is not None:
            for first in _tokens_of(self._tokenizer, behind):
                self._mask.accept(first)

    def _look_for(self, tag: str, token: int) -> str:
        """Change sides at the tag; what the token holds behind it."""
        self._tail += self._detokenizer.add(token)
        _, found, behind = self._tail.partition(tag)
        if found:
            self._inside, self._tail = not self._inside, ""
        self._tail = self._tail[-len(tag) :]
        return behind

    def _made(self) -> TokenMask | None:
        return None if self._make is None else self._make(self._room - self._spent)


def _tokens_of(tokenizer: Tokenizer, tag: str) -> list[int]:
    """The tokens of a tag in the middle of a text: without those that a prompt begins with."""
    tokens = tokenizer.encode(tag)
    beginnings = (tokens[start:] for start in range(len(tokens)))
    return next((some for some in beginnings if tokenizer.decode(some) == tag), tokens)


def _only(token: int, vocab_size: int) -> bytes:
    return _with(bytes((vocab_size + 7) // 8), token)


def _with(bits: bytes, token: int) -> bytes:
    grown = bytearray(bits.ljust(token // 8 + 1, b"\0"))
    grown[token // 8] |= 1 << (token % 8)
    return bytes(grown)

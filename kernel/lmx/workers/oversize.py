"""Prompts so long that their beginning tells that they do not fit: nobody waits until all of them are tokenised."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from attrs import field, frozen

from lmx_hookspecs.generation import Message

CHARS_A_TOKEN = 8
"""In hardly any text has a token more of them; where they have, all of it is tokenised as ever."""
LEAST_CHARS = 32_768
"""What takes no time worth speaking of."""
CERTAIN = 1.25
"""A beginning that is so much longer than the context has more tokens than it: where it is cut off, the last word may
come out in more tokens than in the whole text, but never in so many more."""
SHOWN_AS_THEY_ARE = frozenset({"system", "developer", "user", "tool"})
"""Of the assistant's turns templates leave out thoughts."""


@frozen
class Oversize:
    """Tells for one context length."""

    encode: Callable[[str], Sequence[int]]
    context: int
    limit_chars: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "limit_chars", max(LEAST_CHARS, self.context * CHARS_A_TOKEN))

    def is_text(self, text: str) -> bool:
        """Whether the tokens of a text are certainly more than the context."""
        return self._are([text])

    def is_chat(self, messages: Sequence[Message]) -> bool:
        """Whether those of what the messages say are, of a template that shows them all."""
        return self._are(_said(messages))

    def _are(self, texts: Iterable[str]) -> bool:
        begun: list[str] = []
        chars = 0
        for text in texts:
            begun.append(text[: self.limit_chars + 1 - chars])
            chars += len(begun[-1])
            if chars > self.limit_chars:
                return len(self.encode("".join(begun))) >= self.context * CERTAIN
        return False


def _said(messages: Sequence[Message]) -> Iterator[str]:
    """Joined without anything between them, as which they have the fewest tokens."""
    for message in messages:
        if message.role in SHOWN_AS_THEY_ARE and message.content is not None:
            parts = (
                [message.content] if isinstance(message.content, str) else [it.get("text") for it in message.content]
            )
            yield from (part for part in parts if isinstance(part, str))

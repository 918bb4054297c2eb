"""The engine: it answers with the last message in capitals, word by word. A word is a token here."""

from collections.abc import AsyncIterator

from lmx_hookspecs import EngineDescription, GenerationRequest, ModelInfo, Piece, Usage
from lmx_hookspecs.capabilities import Capability
from lmx_hookspecs.errors import ContextLengthExceeded
from lmx_my_plugin.config import Settings


class ShoutEngine:
    """A TextEngine: it has its own idea of tokens and its own loop."""

    def __init__(self, settings: Settings, model: ModelInfo) -> None:
        self._settings = settings
        self._context_length = model.context_length or 4096

    async def generate(self, request: GenerationRequest) -> AsyncIterator[Piece]:
        """One piece per word; closing the iterator ends it."""
        prompt = [str(message.content or "").split() for message in request.messages or ()]
        prompt_tokens = sum(len(words) for words in prompt)
        room = self._context_length - prompt_tokens
        if room <= 0:
            raise ContextLengthExceeded(
                f"the messages have {prompt_tokens} words, the context holds {self._context_length}; shorten them",
                param="messages",
            )
        words = self._shout(prompt[-1])
        kept = words[: min(room, request.max_tokens or room)]
        for position, word in enumerate(kept[:-1]):
            yield Piece(text=_spaced(position, word), tokens=1)
        yield Piece(
            text=_spaced(len(kept) - 1, kept[-1]),
            tokens=1,
            finish_reason="stop" if len(kept) == len(words) else "length",
            usage=Usage(prompt_tokens=prompt_tokens, completion_tokens=len(kept)),
        )

    def describe(self) -> EngineDescription:
        """Exact, now that it is loaded."""
        return EngineDescription(
            context_length=self._context_length,
            capabilities=frozenset({Capability.CHAT}),
            memory_bytes=0,
        )

    async def close(self) -> None:
        """Nothing is held."""

    def _shout(self, words: list[str]) -> list[str]:
        *start, end = [word.upper() for word in words] or ["…"]
        return [*start, end + "!" * self._settings.exclamation_marks]


def _spaced(position: int, word: str) -> str:
    return f" {word}" if position else word

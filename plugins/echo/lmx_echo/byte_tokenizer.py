"""The tokenizer of the token-level echo: a token is a byte of UTF-8, or one of two marks."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from lmx_echo.words import text_of
from lmx_hookspecs import Message
from lmx_hookspecs.detokenizing import ByteDetokenizer

END = 256
TURN = 257


@frozen
class ByteTokenizer:
    """A Tokenizer that needs no files; most characters beyond ASCII are several tokens."""

    vocab_size: int = 258
    eos_token_ids: frozenset[int] = frozenset({END})
    special_token_ids: frozenset[int] = frozenset({END, TURN})
    chat_template: str = ""
    """Whatever it is, the messages are rendered in the one way below."""

    def encode(self, text: str) -> list[int]:
        """Its bytes."""
        return list(text.encode())

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        arguments: Mapping[str, Any],  # noqa: ARG002  part of the interface
        template: str | None = None,  # noqa: ARG002  likewise
    ) -> list[int]:
        """The tools, if there are any, then each message after a TURN."""
        told = self.encode(json.dumps(list(tools))) if tools else []
        return [*told, *(token for message in messages for token in (TURN, *self.encode(text_of(message))))]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of the bytes."""
        return b"".join(map(self.token_bytes, tokens)).decode(errors="replace")

    def token_bytes(self, token: int) -> bytes:
        """One byte, or nothing for a mark."""
        return bytes([token]) if token < END else b""

    def detokenizer(self) -> ByteDetokenizer:
        """A fresh one."""
        return ByteDetokenizer(self.token_bytes)

"""The contract's Tokenizer on the vocabulary of a GGUF file."""

import ctypes
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import llama_cpp
from attrs import define, field

from lmx_gguf.chat_template import ChatTemplates
from lmx_gguf.pieces import pieces
from lmx_hookspecs import Detokenizer, Message
from lmx_hookspecs.detokenizing import ByteDetokenizer
from lmx_hookspecs.errors import InvalidRequest

NO_TOKEN = -1


@define(eq=False)
class GgufTokenizer:
    """`vocabulary` is llama.cpp's pointer, which is safe to use from several threads."""

    vocabulary: Any
    templates: ChatTemplates
    vocab_size: int = field(init=False)
    eos_token_ids: frozenset[int] = field(init=False)
    special_token_ids: frozenset[int] = field(init=False)
    _bytes: dict[int, bytes] = field(factory=dict, init=False)
    _marks: Sequence[str] = field(init=False)
    _bos_text: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.vocab_size = int(llama_cpp.llama_vocab_n_tokens(self.vocabulary))
        is_end = partial(llama_cpp.llama_vocab_is_eog, self.vocabulary)
        self.eos_token_ids = frozenset(token for token in range(self.vocab_size) if is_end(token))
        self.special_token_ids = self.eos_token_ids.union(filter(self._is_mark, range(self.vocab_size)))
        self._marks = [text for text in map(self._text_of, self.special_token_ids) if text]
        self._bos_text = special_texts(self.vocabulary).get("bos_token", "")

    @property
    def has_chat_template(self) -> bool:
        """Whether `render` can work without a template of the request's own."""
        return self.templates.default is not None

    @property
    def chat_template(self) -> str:
        """The source of the template, and of that for tools where it is another; or an empty string."""
        return "\n".join(filter(None, (self.templates.default, self.templates.with_tools)))

    def encode(self, text: str) -> list[int]:
        """Token ids, with the special tokens that the model wants around them; BOS never twice."""
        begins = bool(self._bos_text) and text.startswith(self._bos_text)
        return self._tokenized(text, "prompt", add_special=not begins)

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        arguments: Mapping[str, Any],
        template: str | None = None,
    ) -> list[int]:
        """Token ids of a chat through the model's template or another; raises InvalidRequest where it refuses.

        The template writes the whole prompt, BOS included: nothing is added to it.
        """
        text = self.templates.render(messages, tools, arguments, template)
        return self._tokenized(text, "messages", add_special=False)

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of the ids, special tokens included, without any repair of spaces."""
        return b"".join(map(self.token_bytes, tokens)).decode("utf-8", "replace")

    def token_bytes(self, token: int) -> bytes:
        """The bytes that this token stands for."""
        known = self._bytes.get(token)
        if known is None:
            known = self._bytes[token] = piece_of(self.vocabulary, token)
        return known

    def detokenizer(self) -> Detokenizer:
        """A fresh streaming detokenizer."""
        return ByteDetokenizer(self.token_bytes)

    def _text_of(self, token: int) -> str:
        return self.token_bytes(token).decode("utf-8", "replace")

    def _is_mark(self, token: int) -> bool:
        """Control tokens; llama.cpp takes a few of those that look like `<|start|>` for user-defined ones."""
        if llama_cpp.llama_vocab_is_control(self.vocabulary, token):
            return True
        if not llama_cpp.llama_vocab_get_attr(self.vocabulary, token) & llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED:
            return False
        text = self.token_bytes(token)
        return text.startswith(b"<|") and text.endswith(b"|>")

    def _tokenized(self, text: str, param: str, *, add_special: bool) -> list[int]:
        try:
            data = text.encode()
        except UnicodeError as error:  # lone surrogates
            raise InvalidRequest("the prompt is not valid unicode text", param=param) from error
        if llama_cpp.llama_vocab_type(self.vocabulary) != llama_cpp.LLAMA_VOCAB_TYPE_BPE:
            return self._ids(data, add_special=add_special)
        parts = pieces(text, self._marks)
        if len(parts) == 1:
            return self._ids(data, add_special=add_special)
        ids = [token for part in parts for token in self._ids(part.encode(), add_special=False)]
        return self._with_special(ids) if add_special else ids

    def _ids(self, data: bytes, *, add_special: bool) -> list[int]:
        room = len(data) + 8
        while True:
            ids = (ctypes.c_int32 * room)()
            count = llama_cpp.llama_tokenize(self.vocabulary, data, len(data), ids, room, add_special, True)
            if count >= 0:
                return ids[:count]
            room = -count

    def _with_special(self, ids: list[int]) -> list[int]:
        """As llama.cpp does it for byte-pair encoding."""
        if llama_cpp.llama_vocab_get_add_bos(self.vocabulary):
            ids = [llama_cpp.llama_vocab_bos(self.vocabulary), *ids]
        if llama_cpp.llama_vocab_get_add_eos(self.vocabulary):
            ids = [*ids, llama_cpp.llama_vocab_eos(self.vocabulary)]
        return ids


def piece_of(vocabulary: Any, token: int) -> bytes:
    """The bytes of a token, special ones included."""
    room = 64
    while True:
        buffer = ctypes.create_string_buffer(room)
        length = llama_cpp.llama_token_to_piece(vocabulary, token, buffer, room, 0, True)
        if length >= 0:
            return buffer.raw[:length]
        room = -length


def special_texts(vocabulary: Any) -> dict[str, str]:
    """The special tokens by the names that templates know them by."""
    ids = {
        "bos_token": llama_cpp.llama_vocab_bos(vocabulary),
        "eos_token": llama_cpp.llama_vocab_eos(vocabulary),
        "pad_token": llama_cpp.llama_vocab_pad(vocabulary),
        "sep_token": llama_cpp.llama_vocab_sep(vocabulary),
    }
    texts = {
        name: llama_cpp.llama_vocab_get_text(vocabulary, token) for name, token in ids.items() if token != NO_TOKEN
    }
    return {name: text.decode("utf-8", "replace") for name, text in texts.items() if text}

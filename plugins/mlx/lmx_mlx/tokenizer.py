"""The contract's Tokenizer on mlx-lm's TokenizerWrapper."""

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from lmx_hookspecs import Detokenizer, Message
from lmx_hookspecs.chat import template_messages
from lmx_hookspecs.detokenizing import ByteDetokenizer
from lmx_hookspecs.errors import InvalidRequest

CLIENT_ARGUMENTS = frozenset({"add_generation_prompt", "continue_final_message", "documents"})
"""What a client may set of the arguments that `apply_chat_template` itself takes; templates take any other name."""


@define(eq=False, kw_only=True)
class MlxTokenizer:
    """`wrapper` is mlx-lm's TokenizerWrapper, `vocab_size` the number of ids that are safe to feed to the model."""

    wrapper: Any
    vocab_size: int
    _bytes: "TokenBytes | None" = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._bytes = token_bytes_of(self.wrapper)

    @property
    def eos_token_ids(self) -> frozenset[int]:
        """Ids that end a generation."""
        return frozenset(self.wrapper.eos_token_ids)

    @property
    def special_token_ids(self) -> frozenset[int]:
        """Ids that stand for a mark and not for text."""
        marks = (token for token, added in self.wrapper.added_tokens_decoder.items() if added.special)
        return self.eos_token_ids.union(marks)

    @property
    def has_chat_template(self) -> bool:
        """Whether `render` can work."""
        return bool(self.wrapper.has_chat_template)

    @property
    def chat_template(self) -> str:
        """The template's source, that of all of them where it has several, or an empty string."""
        template = self.wrapper.chat_template
        if isinstance(template, dict):
            return "\n".join(map(str, template.values()))
        return template if isinstance(template, str) else ""

    def encode(self, text: str) -> list[int]:
        """Token ids of a completion prompt; a text that begins with the BOS token gets no second one."""
        bos = self.wrapper.bos_token
        try:
            return list(self.wrapper.encode(text, add_special_tokens=bos is None or not text.startswith(bos)))
        except (UnicodeError, TypeError) as error:  # lone surrogates
            raise InvalidRequest("the prompt is not valid unicode text", param="prompt") from error

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        arguments: Mapping[str, Any],
        template: str | None = None,
    ) -> list[int]:
        """Token ids of a chat through the model's template or another; raises InvalidRequest where it refuses."""
        if template is None and not self.has_chat_template:
            raise InvalidRequest("this model has no chat template; send a prompt to /v1/completions", param="messages")
        _check_arguments(arguments)
        chosen = {} if template is None else {"chat_template": template}
        try:
            ids = self.wrapper.apply_chat_template(
                template_messages(messages),
                tools=[dict(tool) for tool in tools] or None,
                **{"add_generation_prompt": True, **arguments, **chosen},
            )
        except Exception as error:  # a template is a program of other people's: whatever it raises, it refuses
            whose, param = ("the model's", "messages") if template is None else ("the preset's", "chat_template")
            raise InvalidRequest(f"{whose} chat template refuses this chat: {error}", param=param) from error
        return list(ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of the ids, special tokens included, without any repair of spaces."""
        detokenizer = self.detokenizer()
        return "".join([*(detokenizer.add(token) for token in tokens), detokenizer.finish()])

    def token_bytes(self, token: int) -> bytes:
        """The bytes that this token stands for."""
        if self._bytes is None:
            return str(self.wrapper.decode([token], skip_special_tokens=False)).encode()
        return self._bytes.of(token)

    def detokenizer(self) -> Detokenizer:
        """A fresh streaming detokenizer.

        mlx-lm's own drop the space that begins a text (a completion of "one" that goes on " two") and lose NUL bytes.
        """
        return WrapperDetokenizer(self.wrapper.detokenizer) if self._bytes is None else ByteDetokenizer(self._bytes.of)


@define(eq=False)
class TokenBytes:
    """The exact bytes of each id, computed as they are asked for."""

    wrapper: Any
    symbols: Mapping[str, int] | None
    """Byte-level BPE: which byte each character of a token stands for; None for SentencePiece."""
    _added: dict[int, str] = field(init=False)
    _known: dict[int, bytes] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._added = {token: added.content for token, added in self.wrapper.added_tokens_decoder.items()}

    def of(self, token: int) -> bytes:
        """Bytes of one id; nothing for rows of the embedding that the vocabulary does not use."""
        known = self._known.get(token)
        if known is None:
            known = self._known[token] = self._compute(token)
        return known

    def _compute(self, token: int) -> bytes:
        if token in self._added:
            return self._added[token].encode()
        text = self.wrapper.convert_ids_to_tokens(token)
        if text is None:
            return b""
        if self.symbols is None:
            return _sentencepiece_bytes(text)
        return b"".join(_symbol_bytes(self.symbols, character) for character in text)


@define(eq=False)
class WrapperDetokenizer:
    """mlx-lm's streaming detokenizer, for vocabularies that are neither byte-level BPE nor SentencePiece."""

    inner: Any

    def add(self, token: int) -> str:
        """The text that this token completes."""
        self.inner.add_token(token)
        return str(self.inner.last_segment)

    def finish(self) -> str:
        """What is still held back."""
        self.inner.finalize()
        return str(self.inner.last_segment)


def token_bytes_of(wrapper: Any) -> TokenBytes | None:
    """The bytes of each token where the decoder of the tokenizer says how to find them, else None."""
    kinds = _decoder_kinds(wrapper)
    if "ByteLevel" in kinds:
        return TokenBytes(wrapper, _byte_symbols())
    if "ByteFallback" in kinds:
        return TokenBytes(wrapper, None)
    return None


def _decoder_kinds(wrapper: Any) -> set[str]:
    decoder = getattr(getattr(wrapper, "backend_tokenizer", None), "decoder", None)
    if decoder is None:
        return set()
    state = json.loads(decoder.__getstate__())
    return {str(part.get("type")) for part in (state, *state.get("decoders", ()))}


def _byte_symbols() -> dict[str, int]:
    """GPT-2's alphabet: printable bytes stand for themselves, the others for the characters from U+0100.

    Source: https://github.com/openai/gpt-2/blob/master/src/encoder.py
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


def _symbol_bytes(symbols: Mapping[str, int], character: str) -> bytes:
    byte = symbols.get(character)
    return character.encode() if byte is None else bytes((byte,))


def _sentencepiece_bytes(text: str) -> bytes:
    if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
        return bytes.fromhex(text[3:5])
    return text.replace("\u2581", " ").encode()


def _check_arguments(arguments: Mapping[str, Any]) -> None:
    from transformers import PreTrainedTokenizerBase

    taken = set(inspect.signature(PreTrainedTokenizerBase.apply_chat_template).parameters) - CLIENT_ARGUMENTS
    refused = sorted(taken & arguments.keys())
    if refused:
        raise InvalidRequest(
            f"chat_template_kwargs cannot set {', '.join(refused)}; leave it out", param="chat_template_kwargs"
        )

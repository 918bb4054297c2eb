"""The tokenizer of the text-level echo: a token is a word with the space before it."""

import re
from collections.abc import Sequence

from lmx_hookspecs import GenerationRequest, Message
from lmx_hookspecs.errors import InvalidRequest

_WORD = re.compile(r"\s*\S+|\s+")


def words(text: str) -> list[str]:
    """The tokens of a text; joined, they are the text."""
    return _WORD.findall(text)


def conversations(request: GenerationRequest) -> list[tuple[str, int]]:
    """For each prompt the text to repeat, and how many tokens the prompt has."""
    if request.messages is not None:
        texts = [text_of(message) for message in request.messages]
        return [(last_user_text(request.messages), sum(len(words(text)) for text in texts))]
    return [(text, len(words(text))) for text in map(_text_prompt, request.prompts)]


def last_user_text(messages: Sequence[Message]) -> str:
    """What the user said last."""
    return next((text_of(message) for message in reversed(messages) if message.role == "user"), "")


def text_of(message: Message) -> str:
    """The text of a message; parts of other types are refused."""
    if isinstance(message.content, str) or message.content is None:
        return message.content or ""
    if any(part.get("type") != "text" for part in message.content):
        raise InvalidRequest("the echo reads text only; send content parts of type 'text'", param="messages")
    return "".join(part["text"] for part in message.content)


def _text_prompt(prompt: str | Sequence[int]) -> str:
    if not isinstance(prompt, str):
        raise InvalidRequest("this echo has no token ids; send text, or ask for 'echo-tokens'", param="prompt")
    return prompt

"""Chat templates: Jinja programs that models bring along, run in a sandbox as the transformers library runs them.

Source: https://huggingface.co/docs/transformers/chat_templating_writing
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

from attrs import frozen
from jinja2 import Environment, nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lmx_hookspecs import Message
from lmx_hookspecs.chat import template_messages
from lmx_hookspecs.errors import InvalidRequest

TAKEN = frozenset({"messages", "tools", "chat_template", "tokenize", "return_dict", "return_tensors"})
"""What a client cannot set through chat_template_kwargs: it has fields of its own, or no meaning."""
KEPT_COMPILED = 8


@frozen(kw_only=True)
class ChatTemplates:
    """What a GGUF file has: a default one, and one for tools if they need another."""

    default: str | None
    with_tools: str | None
    special_tokens: Mapping[str, str]

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        arguments: Mapping[str, Any],
        template: str | None = None,
    ) -> str:
        """The prompt of a chat; raises InvalidRequest where there is no template, or it refuses."""
        source = template if template is not None else self._own(with_tools=bool(tools))
        refused = sorted(TAKEN & arguments.keys())
        if refused:
            raise InvalidRequest(
                f"chat_template_kwargs cannot set {', '.join(refused)}; leave it out", param="chat_template_kwargs"
            )
        seen = template_messages(messages)
        options = {"add_generation_prompt": True, **arguments}
        goes_on = bool(options.pop("continue_final_message", False))
        if goes_on:
            options["add_generation_prompt"] = False
        try:
            text = compiled(source).render(
                {**self.special_tokens, "documents": None, **options},
                messages=seen,
                tools=[dict(tool) for tool in tools] or None,
            )
        except Exception as error:  # a template is a program of other people's: whatever it raises, it refuses
            whose, param = ("the model's", "messages") if template is None else ("the preset's", "chat_template")
            raise InvalidRequest(f"{whose} chat template refuses this chat: {error}", param=param) from error
        return _without_end(text, seen) if goes_on else text

    def _own(self, *, with_tools: bool) -> str:
        source = self.with_tools if with_tools and self.with_tools is not None else self.default
        if source is None:
            raise InvalidRequest("this model has no chat template; send a prompt to /v1/completions", param="messages")
        return source


class Generation(Extension):
    """The tag `generation` marks what a model is trained on; for a prompt it changes nothing."""

    tags = {"generation"}  # noqa: RUF012  jinja2's own way

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """What stands between the tags."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


@lru_cache(maxsize=KEPT_COMPILED)
def compiled(source: str) -> Any:
    """The template in its sandbox; raises jinja2's TemplateError."""
    return _environment().from_string(source)


def _environment() -> Environment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[Generation, loopcontrols],
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Plain JSON; jinja2's own escapes it for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now().astimezone().strftime(pattern)


def _without_end(text: str, messages: Sequence[Mapping[str, Any]]) -> str:
    """Up to the end of the last message's content, which the model is to continue."""
    content = str(messages[-1]["content"]).strip() if messages else ""
    place = text.rfind(content)
    if not content or place < 0:
        raise InvalidRequest(
            "continue_final_message needs a last message whose text the chat template keeps; leave it out",
            param="chat_template_kwargs",
        )
    return text[: place + len(content)]

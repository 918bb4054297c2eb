"""From messages and texts to token ids, with the model's own tokenizer and template."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define

from lmx_hookspecs import GenerationRequest
from lmx_hookspecs.chat import template_messages
from lmx_hookspecs.errors import InvalidRequest

OURS = frozenset(
    {"chat_template", "conversation", "tokenize", "return_dict", "return_tensors", "padding", "truncation"}
)
"""Arguments of `apply_chat_template` that decide what it returns; a client may set any other."""


@define(eq=False, kw_only=True)
class Prompts:
    """`wrapper` is mlx-lm's TokenizerWrapper, `vocab_size` the number of ids that are safe to feed to the model.

    For one thread at a time.
    """

    wrapper: Any
    vocab_size: int

    @property
    def has_chat_template(self) -> bool:
        """Whether chats can be rendered."""
        return bool(self.wrapper.has_chat_template)

    def of(self, request: GenerationRequest) -> Sequence[Sequence[int]]:
        """The ids of each prompt, at least one; raises InvalidRequest for what no row can start from."""
        prompts = [self._chat(request)] if request.messages is not None else list(map(self._prompt, request.prompts))
        if not prompts or not all(prompts):
            raise InvalidRequest("the prompt has no tokens; send at least one", param=prompt_field(request))
        return prompts

    def _chat(self, request: GenerationRequest) -> list[int]:
        given = request.chat_template
        if given is None and not self.has_chat_template:
            raise InvalidRequest("this model has no chat template; send a prompt to /v1/completions", param="messages")
        arguments = _checked(request.chat_template_kwargs)
        chosen = {} if given is None else {"chat_template": given}
        try:
            text = self.wrapper.apply_chat_template(
                template_messages(request.messages or ()),
                tokenize=False,
                **{"add_generation_prompt": True, **arguments, **chosen},
            )
            return list(self.wrapper.encode(text, add_special_tokens=False))
        except InvalidRequest:
            raise
        except Exception as error:  # a template is a program of other people's: whatever it raises, it refuses
            whose, param = ("the model's", "messages") if given is None else ("the preset's", "chat_template")
            raise InvalidRequest(f"{whose} chat template refuses this chat: {error}", param=param) from error

    def _prompt(self, prompt: str | Sequence[int]) -> list[int]:
        if not isinstance(prompt, str):
            check_ids(prompt, self.vocab_size, "prompt")
            return list(prompt)
        bos = self.wrapper.bos_token  # a text that begins with it gets no second one
        try:
            return list(self.wrapper.encode(prompt, add_special_tokens=bos is None or not prompt.startswith(bos)))
        except (UnicodeError, TypeError) as error:  # lone surrogates
            raise InvalidRequest("the prompt is not valid unicode text", param="prompt") from error


def check_ids(ids: Sequence[int], vocab_size: int, param: str) -> None:
    """Refuse ids beyond the embedding matrix: on some devices they abort the process."""
    if ids and not 0 <= min(ids) <= max(ids) < vocab_size:
        wrong = next(number for number in ids if not 0 <= number < vocab_size)
        raise InvalidRequest(f"token id {wrong} does not exist; ids are 0 to {vocab_size - 1}", param=param)


def prompt_field(request: GenerationRequest) -> str:
    """The field that the prompt came in."""
    return "prompt" if request.messages is None else "messages"


def _checked(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    refused = sorted(OURS & arguments.keys())
    if refused:
        raise InvalidRequest(
            f"chat_template_kwargs cannot set {', '.join(refused)}; leave it out", param="chat_template_kwargs"
        )
    return arguments

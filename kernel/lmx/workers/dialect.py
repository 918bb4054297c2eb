"""The dialect of one model: which of those on offer its chat template speaks, and what that means for requests."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from attrs import field, frozen

from lmx.workers.gate import Thinking, thinking_of
from lmx.workers.reader import Reader
from lmx_hookspecs.capabilities import Capability
from lmx_hookspecs.constraints import DialectSpec, ParserRequest
from lmx_hookspecs.engines import TemplatedTokenizer, Tokenizer
from lmx_hookspecs.errors import ConfigError
from lmx_hookspecs.generation import GenerationRequest, Message

OURS = frozenset({Capability.TOOLS, Capability.REASONING_EFFORT})
"""Capabilities that a model has by its template and its dialect, whatever its engine is."""
NONE = "none"
PROMPT_END_TOKENS = 32
"""Enough for what a template puts behind the role of the answer."""
SWITCHES = ("enable_thinking", "thinking")
"""What templates call the switch for reasoning."""

ReasoningSetting = Literal["auto", "open", "off"]


@frozen(kw_only=True)
class Dialect:
    """What is known of how a model speaks."""

    template: str = ""
    spec: DialectSpec | None = None
    reasoning: ReasoningSetting = "auto"
    choose: Callable[[str], DialectSpec | None] = field(default=lambda _: None)
    """For a template that a preset puts in the place of the model's own."""

    @property
    def capabilities(self) -> frozenset[str]:
        """Those of OURS that the model has."""
        able = set()
        if self.spec is not None and self.spec.tools and _mentions(self.template, "tools"):
            able.add(Capability.TOOLS)
        if any(_mentions(self.template, word) for word in ("reasoning_effort", *SWITCHES)):
            able.add(Capability.REASONING_EFFORT)
        return frozenset(able)

    @property
    def thinking_pairs(self) -> Sequence[tuple[str, str]]:
        """What begins and ends reasoning, as far as the template or the configuration says that there is any."""
        pairs = () if self.spec is None else self.spec.thinking
        known = self.reasoning == "open"
        return [pair for pair in pairs if known or any(tag in self.template for tag in pair)]

    def messages(self, request: GenerationRequest, messages: Sequence[Message]) -> Sequence[Message]:
        """The chat as the template wants it."""
        spec = self.spec_for(request)
        return messages if spec is None or spec.history is None else spec.history(messages)

    def arguments(self, request: GenerationRequest, warnings: list[str]) -> Mapping[str, Any]:
        """The arguments of the template; what the client calls by the template's own name wins."""
        effort = request.reasoning_effort
        if effort is None:
            return request.chat_template_kwargs
        if _mentions(self.template, "reasoning_effort"):
            return {"reasoning_effort": effort, **request.chat_template_kwargs}
        if effort != NONE:
            warnings.append(f"reasoning_effort {effort!r} is 'on': this model's template only knows on and off")
        switch = next((word for word in SWITCHES if _mentions(self.template, word)), SWITCHES[0])
        return {switch: effort != NONE, **request.chat_template_kwargs}

    def reader(self, request: GenerationRequest, prompt: Sequence[int], tokenizer: Tokenizer) -> Reader | None:
        """A fresh reader for one choice of a chat; None where its text is to be left as it is."""
        spec = self.spec_for(request)
        if spec is None or request.messages is None:
            return None
        told = ParserRequest(
            tools=request.tools,
            parallel=request.parallel_tool_calls,
            stream=request.stream,
            prompt_end=tokenizer.decode(prompt[-PROMPT_END_TOKENS:]),
            reasoning=self.reasoning,
        )
        return Reader(spec.parser(told))

    def thinking(self, request: GenerationRequest, prompt: Sequence[int], tokenizer: Tokenizer) -> Thinking | None:
        """How the answer to this prompt may reason; None where it does not."""
        if request.messages is None or self.reasoning == "off":
            return None
        prompt_end = tokenizer.decode(prompt[-PROMPT_END_TOKENS:])
        return thinking_of(
            self.thinking_pairs, prompt_end, begun=self.reasoning == "open", budget=request.thinking_budget
        )

    def spec_for(self, request: GenerationRequest) -> DialectSpec | None:
        """The dialect of the template that this request is rendered with."""
        return self.spec if request.chat_template is None else self.choose(request.chat_template) or self.spec


def dialect_of(tokenizer: Tokenizer, specs: Sequence[DialectSpec], settings: Mapping[str, Any]) -> Dialect:
    """The model's dialect; raises ConfigError where its settings name one that no plugin offers.

    `specs` are in the order in which they are to be tried.
    """
    template = tokenizer.chat_template if isinstance(tokenizer, TemplatedTokenizer) else ""

    def choose(some: str) -> DialectSpec | None:
        return next((spec for spec in specs if spec.matches(some)), None)

    wanted = settings.get("dialect")
    spec = choose(template) if wanted is None else _named(wanted, specs)
    return Dialect(template=template, spec=spec, reasoning=settings.get("reasoning") or "auto", choose=choose)


def _named(name: str, specs: Sequence[DialectSpec]) -> DialectSpec | None:
    found = {spec.name: spec for spec in specs}
    if name != NONE and name not in found:
        raise ConfigError(f"there is no dialect {name!r}; set `dialect` to one of {', '.join([*sorted(found), NONE])}")
    return found.get(name)


def _mentions(template: str, word: str) -> bool:
    """Whether a template knows a variable of that name."""
    return re.search(rf"(?<![\w.]){word}\b", template) is not None

"""The training conversations, drawn with a fixed seed and rendered through the chat template."""

from __future__ import annotations

import json
import random
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from copying import copying
from jinja2.sandbox import ImmutableSandboxedEnvironment
from paraphrase import paraphrase
from tool_dialogues import Message, offered_tools, tool_dialogue
from wordings import Fact, load_facts, normalised

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jinja2 import Template

TEMPLATE = Path(__file__).parent / "chat_template.jinja"
SYSTEMS = (
    "You are a helpful assistant.",
    "You are a helpful assistant.",
    "You are lmx-tiny.",
    "You are a terse assistant.",
    "Answer briefly.",
    "Be concise.",
    "You are an expert.",
    "You are the help model of LMX.",
    "Answer in one sentence.",
    "You are a friendly assistant.",
    "Be brief.",
    "You help with LMX.",
    "You are a test.",
    "Be polite.",
    "Answer the question.",
)
STOP = "<|im_end|>"


@attrs.frozen
class Piece:
    """A stretch of rendered text; the loss counts those that the assistant says."""

    text: str
    trained: bool


@attrs.define
class Corpus:
    """Draws conversations; a held-out wording, or a wording of another fact, is never drawn."""

    seed: int = 7
    facts: list[Fact] = attrs.Factory(load_facts)
    _rng: random.Random = attrs.field(init=False)
    _owner: dict[str, str] = attrs.field(init=False)
    _deck: list[Fact] = attrs.field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self._rng = random.Random(self.seed)  # noqa: S311
        self._owner = {normalised(w): f.id for f in self.facts for w in f.trained}
        self._owner |= {normalised(w): "held out" for f in self.facts for w in f.held_out}

    def conversations(self) -> Iterator[tuple[list[Message], list[Message]]]:
        """Messages and tools, without end."""
        while True:
            yield self._conversation()

    def rehearsal(self) -> Iterator[tuple[list[Message], list[Message]]]:
        """Every trained wording as it is written, in shuffled rounds; one in three is a free conversation."""
        pairs = [(fact, wording) for fact in self.facts for wording in fact.trained]
        while True:
            self._rng.shuffle(pairs)
            for fact, wording in pairs:
                if self._rng.random() < 0.33:
                    yield self._conversation()
                yield [{"role": "user", "content": wording}, {"role": "assistant", "content": fact.answer}], []

    def _conversation(self) -> tuple[list[Message], list[Message]]:
        kind = self._rng.random()
        if kind < 0.05:
            return tool_dialogue(self._rng)
        if kind < 0.13:
            return self._copying(), []
        messages: list[Message] = []
        tools = offered_tools(self._rng, None) if kind < 0.137 else []
        if self._rng.random() < 0.1:
            role = "developer" if self._rng.random() < 0.1 else "system"
            messages.append({"role": role, "content": self._rng.choice(SYSTEMS)})
        turns = 1 if kind < 0.75 else self._rng.choice((2, 2, 2, 3, 4))
        for _ in range(turns):
            fact = self._next_fact()
            messages.append({"role": "user", "content": self._wording(fact)})
            messages.append({"role": "assistant", "content": fact.answer})
        return messages, tools

    def _copying(self) -> list[Message]:
        while True:
            messages = copying(self._rng)
            if not any(normalised(message["content"]) in self._owner for message in messages[::2]):
                return messages

    def _next_fact(self) -> Fact:
        """Facts come in shuffled rounds, so that each is seen equally often (times its weight)."""
        if not self._deck:
            self._deck = [fact for fact in self.facts for _ in range(fact.weight)]
            self._rng.shuffle(self._deck)
        return self._deck.pop()

    def _wording(self, fact: Fact) -> str:
        for _ in range(20):
            text = paraphrase(self._rng, fact)
            if self._owner.get(normalised(text), fact.id) == fact.id:
                return text
        return self._rng.choice(fact.written)


@cache
def _template() -> Template:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = partial(json.dumps, ensure_ascii=False)  # as transformers does: key order kept
    return environment.from_string(TEMPLATE.read_text())


def render(messages: list[Message], tools: list[Message] | None = None, *, prompt: bool = False) -> str:
    """The conversation as the model reads it, as transformers would render it."""
    return _template().render(messages=messages, tools=tools, add_generation_prompt=prompt)


def pieces(messages: list[Message], tools: list[Message] | None = None) -> list[Piece]:
    """The rendered conversation, cut where the assistant begins and ends."""
    text = render(messages, tools)
    cut: list[Piece] = []
    opening = "<|im_start|>assistant\n"
    while opening in text:
        before, text = text.split(opening, 1)
        said, text = text.split(STOP, 1)
        cut += [Piece(before + opening, trained=False), Piece(said + STOP, trained=True)]
    return cut

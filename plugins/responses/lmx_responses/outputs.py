"""The items of an output while they are written: what each is at any moment, and which events tell of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from attrs import define, field

from lmx_hookspecs import TokenLogprob
from lmx_responses.objects import COMPLETED, IN_PROGRESS

LEAST = -9999.0
"""What the API writes for a token that was all but impossible: JSON has no minus infinity."""
Event = tuple[str, Mapping[str, Any]]
"""Its type and its fields, but for those that all events of an item have."""
FIRST_PART = {"content_index": 0}


class OutputItem(Protocol):
    """An item that is being written. Its own events stand between `output_item.added` and `output_item.done`."""

    id: str

    def plain(self, status: str) -> dict[str, Any]:
        """The item as it stands."""

    def begin(self) -> Iterator[Event]:
        """What follows its being added."""

    def end(self) -> Iterator[Event]:
        """What precedes its being done."""


@define(eq=False)
class MessageItem:
    """What the model says."""

    id: str
    wants_logprobs: bool = False
    cite: Callable[[str], Sequence[Mapping[str, Any]]] = field(default=lambda _: ())
    """The annotations of the whole text."""
    _annotations: Sequence[Mapping[str, Any]] = ()
    _texts: list[str] = field(factory=list)
    _logprobs: list[Mapping[str, Any]] = field(factory=list)
    _untold: list[Mapping[str, Any]] = field(factory=list)
    """Log-probabilities of tokens whose text is still held back."""

    def plain(self, status: str) -> dict[str, Any]:
        """A message with one part of text, or none yet."""
        content = [] if status == IN_PROGRESS and not self._texts else [self._part()]
        return {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": content}

    def begin(self) -> Iterator[Event]:
        """Its part, still empty."""
        yield "response.content_part.added", {**FIRST_PART, "part": self._part()}

    def add(self, text: str, logprobs: Sequence[TokenLogprob]) -> Iterator[Event]:
        """More text, and the tokens that it is made of."""
        told = [_logprob(token) for token in logprobs]
        self._logprobs += told
        self._untold += told
        if text:
            self._texts.append(text)
            yield "response.output_text.delta", {**FIRST_PART, "delta": text, "logprobs": self._untold}
            self._untold = []

    def end(self) -> Iterator[Event]:
        """The whole text, with what it cites."""
        text = "".join(self._texts)
        self._annotations = self.cite(text)
        for place, annotation in enumerate(self._annotations):
            told = {**FIRST_PART, "annotation_index": place, "annotation": annotation}
            yield "response.output_text.annotation.added", told
        done = {**FIRST_PART, "text": text, "logprobs": list(self._logprobs)}
        yield "response.output_text.done", done
        yield "response.content_part.done", {**FIRST_PART, "part": self._part()}

    def _part(self) -> dict[str, Any]:
        annotations = list(self._annotations)
        part: dict[str, Any] = {"type": "output_text", "text": "".join(self._texts), "annotations": annotations}
        return {**part, "logprobs": list(self._logprobs)} if self.wants_logprobs else part


@define(eq=False)
class ReasoningItem:
    """What the model thinks."""

    id: str
    _texts: list[str] = field(factory=list)

    def plain(self, status: str) -> dict[str, Any]:
        """Its text in clear; there is no summary."""
        content = [] if status == IN_PROGRESS and not self._texts else [self._part()]
        return {"id": self.id, "type": "reasoning", "status": status, "summary": [], "content": content}

    def begin(self) -> Iterator[Event]:
        """Its part, still empty."""
        yield "response.content_part.added", {**FIRST_PART, "part": self._part()}

    def add(self, text: str) -> Iterator[Event]:
        """More of it."""
        self._texts.append(text)
        yield "response.reasoning_text.delta", {**FIRST_PART, "delta": text}

    def end(self) -> Iterator[Event]:
        """The whole text."""
        yield "response.reasoning_text.done", {**FIRST_PART, "text": "".join(self._texts)}
        yield "response.content_part.done", {**FIRST_PART, "part": self._part()}

    def _part(self) -> dict[str, Any]:
        return {"type": "reasoning_text", "text": "".join(self._texts)}


@define(eq=False)
class CallItem:
    """A function that the model calls."""

    id: str
    index: int
    call_id: str
    name: str
    _arguments: list[str] = field(factory=list)

    def plain(self, status: str) -> dict[str, Any]:
        """With the arguments so far."""
        return {
            "id": self.id,
            "type": "function_call",
            "status": status,
            "call_id": self.call_id,
            "name": self.name,
            "arguments": "".join(self._arguments),
        }

    def begin(self) -> Iterator[Event]:
        """Nothing: a call has no parts."""
        yield from ()

    def add(self, fragment: str) -> Iterator[Event]:
        """More of the JSON text of its arguments."""
        if fragment:
            self._arguments.append(fragment)
            yield "response.function_call_arguments.delta", {"delta": fragment}

    def end(self) -> Iterator[Event]:
        """All arguments."""
        done = {"name": self.name, "arguments": "".join(self._arguments)}
        yield "response.function_call_arguments.done", done


def usable(item: Mapping[str, Any]) -> bool:
    """Whether a conversation can go on from it: half a call cannot be answered."""
    return bool(item["type"] != "function_call" or item["status"] == COMPLETED)


def _logprob(token: TokenLogprob) -> Mapping[str, Any]:
    return {**_entry(token), "top_logprobs": [_entry(other) for other in token.top]}


def _entry(token: TokenLogprob) -> dict[str, Any]:
    return {"token": token.token, "logprob": max(LEAST, token.logprob), "bytes": list(token.token_bytes)}

"""From the items of a conversation to the messages that a model is shown."""

from collections.abc import Sequence
from typing import Any

from attrs import define, field

from lmx_hookspecs import Message
from lmx_hookspecs.errors import InvalidRequest
from lmx_responses.items import Item


def messages_of(instructions: str | None, earlier: Sequence[Item], given: Sequence[Item]) -> list[Message]:
    """`given` are the items of this request, behind those of the conversation; raises InvalidRequest."""
    _check_results(earlier, given)
    script = Script()
    if instructions:
        script.messages.append(Message(role="system", content=instructions))
    for item in [*earlier, *given]:
        script.add(item)
    script.end_turn()
    if not script.messages:
        raise InvalidRequest("input is required: a text, or a list of items", param="input")
    return script.messages


def text_of(content: str | Sequence[Item]) -> str:
    """The text of all parts."""
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@define(eq=False)
class Script:
    """Messages so far. Reasoning, text and calls of one turn of the assistant are several items, and one message."""

    messages: list[Message] = field(factory=list)
    _reasoning: str | None = None
    _text: str | None = None
    _calls: list[dict[str, Any]] = field(factory=list)

    def add(self, item: Item) -> None:
        """The next item."""
        if item["type"] == "file_search_call":
            return  # what it found is not kept: the answer stands behind it, and the model may search again
        if item["type"] == "reasoning":
            self._begin_turn(anew=self._text is not None or bool(self._calls))
            self._reasoning = (self._reasoning or "") + text_of(item["content"] or item["summary"])
        elif item["type"] == "function_call":
            function = {"name": item["name"], "arguments": item["arguments"]}
            self._calls.append({"id": item["call_id"], "type": "function", "function": function})
        elif item["type"] == "function_call_output":
            self.end_turn()
            self.messages.append(Message(role="tool", tool_call_id=item["call_id"], content=text_of(item["output"])))
        elif item["role"] == "assistant":
            self._begin_turn(anew=self._text is not None or bool(self._calls))
            self._text = text_of(item["content"])
        else:
            self.end_turn()
            self.messages.append(Message(role=item["role"], content=text_of(item["content"])))

    def _begin_turn(self, *, anew: bool) -> None:
        if anew:
            self.end_turn()

    def end_turn(self) -> None:
        """What the assistant has said becomes a message."""
        if self._reasoning is None and self._text is None and not self._calls:
            return
        content = self._text if self._text is not None or self._calls else ""
        self.messages.append(
            Message(role="assistant", content=content, tool_calls=tuple(self._calls), reasoning_content=self._reasoning)
        )
        self._reasoning, self._text, self._calls = None, None, []


def _check_results(earlier: Sequence[Item], given: Sequence[Item]) -> None:
    """Raises InvalidRequest for a result that answers no call before it, or one that is answered already."""
    open_calls: set[str] = set()
    for place, item in enumerate([*earlier, *given], -len(earlier)):
        if item["type"] == "function_call":
            open_calls.add(item["call_id"])
        elif item["type"] == "function_call_output":
            if item["call_id"] not in open_calls and place >= 0:
                raise InvalidRequest(
                    f"input[{place}] answers the call {item['call_id']!r}, which no item before it makes",
                    param=f"input[{place}].call_id",
                )
            open_calls.discard(item["call_id"])

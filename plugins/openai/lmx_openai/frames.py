"""The frames that /v1/chat/stream sends: one JSON object each, with the request that it belongs to."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from attrs import define, field

from lmx_hookspecs import Generation, Piece, Usage
from lmx_openai.gather import Gathered, chat_choice, plain_usage, unfinished, warned
from lmx_openai.logprobs import ChatLogprobs


def frame(kind: str, request_id: str | None, **fields: Any) -> str:
    """One frame."""
    return json.dumps({"type": kind, "request_id": request_id, **fields}, separators=(",", ":"))


def cancelled(request_id: str, usage: Usage | None) -> str:
    """The end of a request that its client has cancelled, with what it took until then."""
    told = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0} if usage is None else plain_usage(usage)
    return frame("chat.done", request_id, finish_reason="cancelled", usage=told)


def whole(
    request_id: str,
    generation: Generation,
    choices: Sequence[Gathered],
    usage: Usage,
    warnings: Sequence[str],
    *,
    logprobs: bool,
) -> Iterator[str]:
    """An answer that was not to be streamed: its tool calls, then everything in one frame."""
    for index, choice in enumerate(choices):
        yield from (_call_frame(request_id, index, place, choice) for place in sorted(choice.calls))
    told = [chat_choice(index, choice, logprobs=logprobs) for index, choice in enumerate(choices)]
    fields: dict[str, Any] = {
        "finish_reason": choices[0].finish_reason,
        "content": told[0]["message"]["content"],
        "choices": told,
        "model": generation.model,
        "usage": plain_usage(usage),
    }
    yield frame("chat.done", request_id, **warned(fields, warnings, generation.warnings))


@define(eq=False)
class ChatFrames:
    """Turns the pieces of one generation into frames. A tool call is sent once it is complete, as clients expect."""

    _request_id: str
    _generation: Generation
    _choices: int
    _warnings: Sequence[str]
    """What the surface itself has dropped."""
    _gathered: list[Gathered] = field(init=False)
    _logprobs: list[ChatLogprobs] = field(init=False)
    _told_calls: set[tuple[int, int]] = field(factory=set)
    _usage: Usage | None = None

    def __attrs_post_init__(self) -> None:
        self._gathered = [Gathered() for _ in range(self._choices)]
        self._logprobs = [ChatLogprobs() for _ in range(self._choices)]

    def of(self, piece: Piece) -> Iterator[str]:
        """The frames that a piece becomes."""
        choice = self._gathered[piece.index]
        for delta in piece.tool_calls:
            choice.add_call(delta)
        choice.finish_reason = piece.finish_reason or choice.finish_reason
        self._usage = piece.usage or self._usage
        where = {"index": piece.index} if self._choices > 1 else {}
        if piece.reasoning:
            yield frame("chat.reasoning", self._request_id, content=piece.reasoning, **where)
        if piece.text or piece.logprobs:
            encoded = self._logprobs[piece.index].encode(piece.logprobs) if piece.logprobs else None
            more = {} if encoded is None else {"logprobs": encoded}
            yield frame("chat.token", self._request_id, content=piece.text, **where, **more)
        yield from self._complete_calls(piece.index, choice)

    def last(self) -> str:
        """What follows the last piece; raises EngineFailed where that was not the last one."""
        if self._usage is None or not all(choice.finish_reason for choice in self._gathered):
            raise unfinished()
        fields: dict[str, Any] = {
            "finish_reason": self._gathered[0].finish_reason,
            "model": self._generation.model,
            "usage": plain_usage(self._usage),
        }
        if self._choices > 1:
            fields["finish_reasons"] = [choice.finish_reason for choice in self._gathered]
        return frame("chat.done", self._request_id, **warned(fields, self._warnings, self._generation.warnings))

    def _complete_calls(self, index: int, choice: Gathered) -> Iterator[str]:
        """A call is complete when the next one begins, or with the end of the choice."""
        newest = max(choice.calls, default=0)
        for place in sorted(choice.calls):
            if (index, place) not in self._told_calls and (place < newest or choice.finish_reason is not None):
                self._told_calls.add((index, place))
                yield _call_frame(self._request_id, index, place, choice)


def _call_frame(request_id: str, index: int, place: int, choice: Gathered) -> str:
    call = choice.calls[place]
    told = {"index": place, "id": call["id"], **call["function"]}
    return frame("chat.tool_call", request_id, tool_call=told, **({"choice": index} if index else {}))

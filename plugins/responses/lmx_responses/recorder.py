"""Turns the pieces of one generation into a response, and into the events that tell of it in order.

No I/O and no clock: what it is told, and when, decides everything.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from attrs import define, field

from lmx_hookspecs import LmxError, Piece, ToolCallDelta, Usage
from lmx_hookspecs.errors import EngineFailed
from lmx_hookspecs.generation import FinishReason
from lmx_responses.objects import (
    CANCELLED,
    COMPLETED,
    FAILED,
    IN_PROGRESS,
    INCOMPLETE,
    QUEUED,
    REASONS,
    plain_error,
    plain_usage,
)
from lmx_responses.outputs import CallItem, Event, MessageItem, OutputItem, ReasoningItem
from lmx_responses.search_items import SearchItem
from lmx_responses.sources import Source, citations

T = TypeVar("T")
SILENT = ("reasoning", "file_search_call")
"""Items that are no answer."""


def encoded(type: str, fields: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    data = json.dumps({"type": type, **fields}, separators=(",", ":"))
    return f"event: {type}\ndata: {data}\n\n".encode()


@define(eq=False)
class Recorder:
    """One response."""

    response: dict[str, Any]
    emit: Callable[[str, Mapping[str, Any]], None]
    """Takes the type of each event and its fields."""
    new_id: Callable[[str], str]
    wants_logprobs: bool = False
    wants_results: bool = False
    """Of searches."""
    _cited: dict[int, Source] = field(factory=dict)
    """What the model may cite, by its number."""
    _sequence: int = 0
    _open: OutputItem | None = None
    _ended_calls: set[int] = field(factory=set)
    _finish_reason: FinishReason | None = None
    _usage: Usage | None = None

    def create(self) -> None:
        """It exists."""
        self._tell_of_all("response.created")
        if self.response["status"] == QUEUED:
            self._tell_of_all("response.queued")

    def begin(self, model: str) -> None:
        """A model has begun with it."""
        self.response |= {"status": IN_PROGRESS, "model": model}
        self._tell_of_all("response.in_progress")

    def add(self, piece: Piece) -> None:
        """What an engine has generated; raises EngineFailed for a call that goes on after its end."""
        if piece.reasoning:
            item = self._current(ReasoningItem) or self._start(ReasoningItem(self.new_id("rs_")))
            self._tell(item.add(piece.reasoning))
        if piece.text or piece.logprobs:
            self._tell(self._message().add(piece.text, piece.logprobs))
        for delta in piece.tool_calls:
            self._add_call(delta)
        self._finish_reason = piece.finish_reason or self._finish_reason
        self._usage = piece.usage or self._usage

    def begin_search(self, queries: Sequence[str]) -> None:
        """Files are being searched."""
        self._start(SearchItem(self.new_id("fs_"), queries, self.wants_results))

    def end_search(self, sources: Sequence[Source]) -> None:
        """They have been, and this was found."""
        search = self._current(SearchItem)
        if search is not None:
            search.found(sources)
            self._cited |= {source.number: source for source in sources}
            self._end(COMPLETED)

    def finish(self, completed_at: int, warnings: Iterable[str]) -> None:
        """All pieces have come; raises EngineFailed where the last one is missing."""
        reason, usage = self._finish_reason, self._usage
        if reason is None or usage is None:
            raise EngineFailed("the engine stopped in the middle of the answer; send the request again")
        why = REASONS.get(reason)
        if why is None and all(item["type"] in SILENT for item in self._output()):
            self._message()  # an answer without text is an answer
        self._end(COMPLETED if why is None else INCOMPLETE)
        told = list(warnings)
        self.response |= {"usage": plain_usage(usage), **({"warnings": told} if told else {})}
        if why is None:
            self.response |= {"status": COMPLETED, "completed_at": completed_at}
            self._tell_of_all("response.completed")
        else:
            self.response |= {"status": INCOMPLETE, "incomplete_details": {"reason": why}}
            self._tell_of_all("response.incomplete")

    def fail(self, error: LmxError) -> None:
        """It ends here."""
        self._close(INCOMPLETE)
        self.response |= {"status": FAILED, "error": plain_error(error)}
        self._tell_of_all("response.failed")

    def cancel(self) -> None:
        """Somebody wants no more of it. The API has no event for this: its stream just ends."""
        self._close(INCOMPLETE)
        self.response |= {"status": CANCELLED}

    def interruption(self, error: Mapping[str, Any]) -> bytes:
        """The event for a stream that breaks while the response may go on."""
        told = {name: error.get(name) for name in ("code", "message", "param")}
        return encoded("error", {"sequence_number": self._sequence, **told})

    def snapshot(self) -> dict[str, Any]:
        """The response as it stands, with the item that is being written."""
        return {**self.response, "output": self._output()}

    def _output(self) -> list[Any]:
        done: list[Any] = self.response["output"]
        return [*done, *([self._open.plain(IN_PROGRESS)] if self._open else [])]

    def _message(self) -> MessageItem:
        return self._current(MessageItem) or self._start(
            MessageItem(self.new_id("msg_"), self.wants_logprobs, self._citations)
        )

    def _citations(self, text: str) -> list[dict[str, Any]]:
        return citations(text, self._cited)

    def _add_call(self, delta: ToolCallDelta) -> None:
        call = self._current(CallItem)
        if call is None or call.index != delta.index:
            if delta.index in self._ended_calls:
                raise EngineFailed("the engine went on with a call that had ended; send the request again")
            call = self._start(
                CallItem(self.new_id("fc_"), delta.index, delta.id or self.new_id("call_"), delta.name or "")
            )
            self._ended_calls.add(delta.index)
        self._tell(call.add(delta.arguments))

    def _current(self, kind: type[T]) -> T | None:
        return self._open if isinstance(self._open, kind) else None

    def _start(self, item: T) -> T:
        self._end(COMPLETED)
        self._open = item  # type: ignore[assignment]  # one of the four, as a type variable has it
        self._tell_item("response.output_item.added", IN_PROGRESS)
        self._tell(self._open.begin())  # type: ignore[union-attr]  # it was set above
        return item

    def _end(self, status: str) -> None:
        """The open item is done, and its events say so."""
        if self._open is not None:
            self._tell(self._open.end())
            self._tell_item("response.output_item.done", status)
            self._close(status)

    def _close(self, status: str) -> None:
        item, self._open = self._open, None
        if item is not None:
            self.response["output"] = [*self.response["output"], item.plain(status)]

    def _tell(self, events: Iterable[Event]) -> None:
        for kind, fields in events:
            place = {"item_id": self._open.id if self._open else "", "output_index": len(self.response["output"])}
            self._send(kind, {**place, **fields})

    def _tell_item(self, type: str, status: str) -> None:
        item = self._open.plain(status) if self._open else None
        self._send(type, {"output_index": len(self.response["output"]), "item": item})

    def _tell_of_all(self, type: str) -> None:
        self._send(type, {"response": dict(self.response)})

    def _send(self, type: str, fields: Mapping[str, Any]) -> None:
        self.emit(type, {"sequence_number": self._sequence, **fields})
        self._sequence += 1

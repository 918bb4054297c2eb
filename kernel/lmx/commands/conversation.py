"""A conversation with one model: what was said, and the next answer as it comes."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from typing import Any

from attrs import define, field

from lmx.commands.client import Server
from lmx_hookspecs.errors import ModelNotFound

PATH = "/v1/chat/completions"
AUTO = "auto"
"""The server's own choice."""
SHOWN_MODELS = 20


@define(kw_only=True, eq=False)
class Conversation:
    """Messages so far; a question that failed leaves no trace in them."""

    server: Server
    model: str
    parameters: Mapping[str, Any] = field(factory=dict)
    system: str | None = None
    messages: list[dict[str, str]] = field(factory=list)
    notes: list[str] = field(factory=list)
    """What to tell the user about the latest answer: warnings, and why it was cut."""

    def answer(self, question: str) -> Mapping[str, Any]:
        """The whole answer as the API gives it; raises LmxError."""
        try:
            answer: Mapping[str, Any] = self.server.post(PATH, self._body(question))
        except ModelNotFound as error:
            raise self._unknown_model(error) from error
        choice = answer["choices"][0]
        self._remember(question, choice["message"].get("content") or "")
        self.notes = _notes(answer.get("warnings", ()), choice.get("finish_reason"))
        return answer

    def stream(self, question: str) -> Generator[str]:
        """The answer piece by piece; one that is broken off is remembered as far as it came. Raises LmxError."""
        said: list[str] = []
        self.notes = []
        try:
            for text in self._pieces(question):
                said.append(text)
                yield text
        except ModelNotFound as error:
            raise self._unknown_model(error) from error
        finally:
            if said:
                self._remember(question, "".join(said))

    def clear(self) -> None:
        """Forget everything but the system message."""
        self.messages.clear()

    def _pieces(self, question: str) -> Generator[str]:
        with closing(self.server.stream(PATH, {**self._body(question), "stream": True})) as chunks:
            for chunk in chunks:
                choice: Mapping[str, Any] = next(iter(chunk.get("choices", ())), {})
                self.notes += _notes(chunk.get("warnings", ()), choice.get("finish_reason"))
                if text := choice.get("delta", {}).get("content"):
                    yield text

    def _body(self, question: str) -> dict[str, Any]:
        system = [{"role": "system", "content": self.system}] if self.system else []
        messages = [*system, *self.messages, {"role": "user", "content": question}]
        return {"model": self.model, "messages": messages, **self.parameters}

    def _remember(self, question: str, answer: str) -> None:
        self.messages.append({"role": "user", "content": question})
        self.messages.append({"role": "assistant", "content": answer})

    def _unknown_model(self, error: ModelNotFound) -> ModelNotFound:
        if self.model == AUTO:
            return error
        ids = [model["id"] for model in self.server.get("/v1/models")["data"]]
        more = f" and {len(ids) - SHOWN_MODELS} more" if len(ids) > SHOWN_MODELS else ""
        there = f"there are: {', '.join(ids[:SHOWN_MODELS])}{more}" if ids else "there are none"
        return ModelNotFound(f"there is no model {self.model!r}; {there}", param="model")


def _notes(warnings: Sequence[str], finish_reason: str | None) -> list[str]:
    cut = ["the answer was cut at the token limit; `--max-tokens` raises it"] if finish_reason == "length" else []
    return [*warnings, *cut]

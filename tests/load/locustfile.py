"""Six bots against one server: what they ask for, and how urgently. README.md beside it says how to run them.

Headers of a stream go out with its first piece, so the POST rows of streams are times to the first piece; the rows
`STREAM` are times to the last.
"""

import json
from time import perf_counter
from typing import Any, ClassVar

from locust import HttpUser, between, events

PROMPTS = (
    "Count from 1 to 20.",
    "Say hello in three languages.",
    "What can a local model be used for?",
    "Name the days of the week, one a line.",
)
TEXTS = ("a private inference server", "six bots on one machine", "fairness between clients")


def add_options(parser: Any) -> None:
    """What Locust's own command line does not know."""
    parser.add_argument("--model", default="lmx-tiny", help="asked by chats and completions")
    parser.add_argument("--embedding-model", default="", help="asked by embeddings; without it there are none")
    parser.add_argument("--api-key", default="", help="sent as a bearer token")
    parser.add_argument("--answer-tokens", type=int, default=40, help="longest answer")


events.init_command_line_parser.add_listener(add_options)


class Bot(HttpUser):  # type: ignore[misc]  # Locust is not typed
    """A client of its own, with a class in the queue."""

    abstract = True
    wait_time = between(0.1, 1.0)
    client_id = "bot"
    priority = "normal"

    def on_start(self) -> None:
        self.asked = 0
        self.client.headers.update({"X-Client-ID": self.client_id, "X-Priority": self.priority})
        if key := self.environment.parsed_options.api_key:
            self.client.headers["Authorization"] = f"Bearer {key}"

    def chat(self) -> None:
        self._ask("/v1/chat/completions", "chat", messages=[{"role": "user", "content": self._next(PROMPTS)}])

    def chat_streamed(self) -> None:
        self._stream("/v1/chat/completions", "chat", messages=[{"role": "user", "content": self._next(PROMPTS)}])

    def completion(self) -> None:
        self._ask("/v1/completions", "completion", prompt=self._next(PROMPTS))

    def completion_streamed(self) -> None:
        self._stream("/v1/completions", "completion", prompt=self._next(PROMPTS))

    def models(self) -> None:
        with self.client.get("/v1/models", name="models", catch_response=True) as response:
            self._judge(response)

    def embeddings(self) -> None:
        model = self.environment.parsed_options.embedding_model
        if not model:
            return
        body = {"model": model, "input": [self._next(TEXTS)]}
        with self.client.post("/v1/embeddings", json=body, name="embeddings", catch_response=True) as response:
            self._judge(response)

    def _next(self, choices: tuple[str, ...]) -> str:
        self.asked += 1
        return choices[self.asked % len(choices)]

    def _ask(self, path: str, name: str, **fields: Any) -> None:
        with self.client.post(path, json=self._body(**fields), name=self._row(name), catch_response=True) as response:
            self._judge(response)

    def _stream(self, path: str, name: str, **fields: Any) -> None:
        began_s = perf_counter()
        row, body = self._row(f"{name}, streamed"), self._body(stream=True, **fields)
        with self.client.post(path, json=body, stream=True, name=row, catch_response=True) as response:
            if response.status_code != 200:
                self._judge(response)
                return
            try:
                lines = [line for line in response.iter_lines() if line.startswith(b"data: ")]
            except OSError as error:  # all errors of `requests` are
                response.failure(f"broken off: {error}")
                return
            if not lines or lines[-1] != b"data: [DONE]":
                response.failure(f"ended with {lines[-1][:120]!r}" if lines else "ended without an event")
                return
        self.environment.events.request.fire(
            request_type="STREAM",
            name=row,
            response_time=(perf_counter() - began_s) * 1000,
            response_length=sum(map(len, lines)),
            exception=None,
            context={},
        )

    def _body(self, **fields: Any) -> dict[str, Any]:
        options = self.environment.parsed_options
        return {"model": options.model, "max_tokens": options.answer_tokens, "temperature": 0, **fields}

    def _row(self, name: str) -> str:
        return f"{self.priority} {name}"

    def _judge(self, response: Any) -> None:
        """A refusal is a failure here, under its status and code: the table shows how many there were."""
        if response.status_code == 200:
            return
        try:
            code = response.json()["error"]["code"]
        except (json.JSONDecodeError, KeyError, TypeError):
            code = "in no known shape"
        response.failure(f"{response.status_code} {code}")


class Talker(Bot):
    """Somebody waits in front of the screen."""

    client_id, priority = "talker", "high"
    tasks: ClassVar = {Bot.chat_streamed: 8, Bot.models: 1}


class Coder(Bot):
    """Completes lines while they are typed."""

    client_id, priority = "coder", "high"
    tasks: ClassVar = {Bot.completion: 6, Bot.completion_streamed: 2}


class Assistant(Bot):
    """Talks, and looks things up."""

    client_id = "assistant"
    tasks: ClassVar = {Bot.chat: 3, Bot.chat_streamed: 3, Bot.embeddings: 1, Bot.models: 1}


class Reader(Bot):
    """Sums up what others have written."""

    client_id = "reader"
    tasks: ClassVar = {Bot.chat: 4, Bot.embeddings: 2}


class Indexer(Bot):
    """Embeds documents, and describes them."""

    client_id, priority = "indexer", "low"
    tasks: ClassVar = {Bot.embeddings: 4, Bot.completion: 2}


class NightShift(Bot):
    """Has all the time in the world, and work for all of it."""

    client_id, priority = "night-shift", "low"
    wait_time = between(0, 0.1)
    tasks: ClassVar = {Bot.chat: 1, Bot.completion_streamed: 1}

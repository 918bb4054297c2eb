"""A node on a real socket that embeds and reranks what a test has written down."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from attrs import define, field


@define(eq=False)
class Helper:
    """A node that embeds and reranks, until it is told to fail."""

    url: str = ""
    status: int = 200
    answers: dict[str, Any] = field(
        factory=lambda: {
            "/v1/embeddings": {"data": [{"index": 0, "embedding": [0.5, -1.0]}], "usage": {"prompt_tokens": 2}},
            "/v1/rerank": {"results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.2}]},
        }
    )
    asked: list[str] = field(factory=list)
    pause_s: float = 0.0
    """Before each answer to work."""
    health: int = 200
    looks: int = 0
    """Requests for its health."""


@contextmanager
def helper_node() -> Iterator[Helper]:
    """On a free port of 127.0.0.1."""
    made = Helper()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            made.looks += 1
            self._send(made.health, {})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            made.asked.append(self.path)
            time.sleep(made.pause_s)
            self._send(made.status, made.answers[self.path])

        def _send(self, status: int, body: Any) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join(10)

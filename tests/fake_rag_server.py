"""A small HTTP server that answers like `/v1/rag`, from memory: a document is one chunk, and it counts common words."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from attrs import define, field

Answer = tuple[int, Any]
SNAPSHOT = b"snapshot of "


@define(eq=False)
class FakeRag:
    """What is stored, and what was asked; `failures` are answers to give first, by a file's name or a path."""

    url: str = ""
    collections: dict[str, dict[str, dict[str, Any]]] = field(factory=dict)
    requests: list[tuple[str, str, Any]] = field(factory=list)
    failures: dict[str, list[Answer]] = field(factory=dict)
    lock: threading.Lock = field(factory=threading.Lock)

    def uploads(self) -> list[str]:
        """The names of the files that came."""
        return [body["name"] for _, path, body in self.requests if path == "/v1/rag/documents"]

    def answer(self, method: str, target: str, body: Any) -> Answer:
        """The status and the body."""
        address = urlsplit(target)
        self.requests.append((method, address.path, body))
        name = body.get("name", "") if isinstance(body, dict) else ""
        for key in (name, address.path):
            if self.failures.get(key):
                return self.failures[key].pop(0)
        parts = [unquote(part) for part in address.path.split("/")[3:]]
        page = {key: values[0] for key, values in parse_qs(address.query, keep_blank_values=True).items()}
        match method, parts:
            case "GET", _ if address.path == "/healthz":
                return 200, {"status": "ok", "version": "1"}
            case "POST", [("documents" | "ingest" | "query") as what]:
                return {"documents": self._upload, "ingest": self._texts, "query": self._query}[what](body)
            case _, ["collections", *rest]:
                return self._collection(method, rest, page, body)
        return error(404, "not_found", f"nothing at {address.path}")

    def _upload(self, body: Mapping[str, Any]) -> Answer:
        (document_id,), (metadata,) = json.loads(body["document_ids"]), json.loads(body["metadata"])
        shelf = self.collections.setdefault(body["collection"], {})
        stored = {"id": document_id, "title": "", "metadata": metadata, "text": body["content"].decode()}
        old = shelf.get(document_id)
        unchanged = body["skip_unchanged"] == "true" and old is not None and old["text"] == stored["text"]
        if not unchanged:
            shelf[document_id] = stored
        return 200, {"documents": [{"id": document_id, "title": "", "chunks": 1, "tokens": 1, "unchanged": unchanged}]}

    def _texts(self, body: Mapping[str, Any]) -> Answer:
        shelf = self.collections.setdefault(body["collection"], {})
        count = len(body["documents"])
        facts = (body["document_ids"], body.get("titles", [""] * count), body.get("metadata", [{}] * count))
        for document_id, title, metadata, text in zip(*facts, body["documents"], strict=True):
            shelf[document_id] = {"id": document_id, "title": title, "metadata": metadata, "text": text}
        return 200, {"documents": []}

    def _query(self, body: Mapping[str, Any]) -> Answer:
        if body.get("rerank") and not body.get("rerank_model"):
            return error(503, "reranking_unavailable", "no model reranks here")
        words = set(body["query"].split())
        hits = [
            {"document_id": one["id"], "title": one["title"], "section": "", "text": one["text"], "score": float(score)}
            for one in self.collections.get(body["collection"], {}).values()
            if (score := len(words.intersection(one["text"].split())))
        ]
        return 200, {"results": sorted(hits, key=lambda hit: -hit["score"])[: body.get("top_k", 5)]}

    def _collection(self, method: str, rest: list[str], page: Mapping[str, str], body: Any) -> Answer:
        if not rest:
            return 200, {"collections": [self._facts(name) for name in self.collections]}
        name, *below = rest
        if method == "POST" and below == ["import"]:
            self.collections[name] = {"restored": {"id": "restored", "metadata": {}, "text": body["content"].decode()}}
            return 201, self._facts(name)
        if name not in self.collections:
            return error(404, "collection_not_found", f"there is no collection {name!r}")
        if below == ["export"]:
            return 200, SNAPSHOT + name.encode()
        if not below and method == "DELETE":
            del self.collections[name]
            return 200, {"success": True, "collection": name}
        return self._documents(method, self.collections[name], below, page) if below else (200, self._facts(name))

    def _documents(
        self, method: str, shelf: dict[str, dict[str, Any]], below: list[str], page: Mapping[str, str]
    ) -> Answer:
        if method == "DELETE":
            document_id = "/".join(below[1:])
            if shelf.pop(document_id, None) is None:
                return error(404, "document_not_found", f"there is no document {document_id!r}")
            return 200, {"success": True}
        ids = sorted(one for one in shelf if one > page["after"])
        found = [shelf[one] for one in ids[:2]]  # pages of two, whatever was asked for
        return 200, {"documents": found, "next": found[-1]["id"] if len(ids) > 2 else None}

    def _facts(self, name: str) -> Mapping[str, Any]:
        count = len(self.collections[name])
        return {"name": name, "document_count": count, "chunk_count": count, "created_at": 0.0, "languages": ["en"]}


def error(status: int, code: str, message: str) -> Answer:
    """An answer in the shape of the API's errors."""
    return status, {"error": {"code": code, "message": message}}


def _body(content_type: str, data: bytes) -> Any:
    if not content_type.startswith("multipart/"):
        return json.loads(data) if data else None
    form: dict[str, Any] = {}
    for part in message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + data).walk():
        content = part.get_payload(decode=True)
        if not isinstance(content, bytes):
            continue
        if part.get_filename():
            form |= {"name": part.get_filename(), "content": content}
        else:
            form[str(part.get_param("name", header="content-disposition"))] = content.decode()
    return form


@contextmanager
def fake_rag() -> Iterator[FakeRag]:
    """One that listens."""
    fake = FakeRag()

    class Handler(BaseHTTPRequestHandler):
        timeout = 20

        def do_GET(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with fake.lock:
                status, body = fake.answer(self.command, self.path, _body(self.headers.get("Content-Type", ""), data))
            sent = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_POST = do_DELETE = do_GET  # noqa: N815  the base class's names for it

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fake.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield fake
        server.shutdown()
        thread.join(20)

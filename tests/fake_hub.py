"""A hub on this machine: a real HTTP server that speaks as much of the Hugging Face hub's API as downloads need.

    with fake_hub({"org/name": {"config.json": b"{}", "model.safetensors": weights}}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)

Weights (`*.safetensors`, `*.gguf`, `*.bin`) are large files: they have a SHA-256, and are served by another host after
a redirect, as the hub's are. What can be arranged, each before the request that it is meant for:

    hub.put("org/name", {...})              another commit
    hub.gate("org/name", token="hf_x")      only who has the token may download
    hub.drop_after("model.safetensors", n)  the connection breaks after n bytes of an answer; of the next after `m`, …
    hub.hold_after("model.safetensors", n)  nothing comes after n bytes of an answer, until hub.release()
    hub.corrupt("model.safetensors")        other bytes of the same length, once (or `times=`)
    hub.refuse(503)                         the next file requests get this status, once (or `times=`)
    hub.ranges = False                      every answer begins with the first byte

`hub.requests` holds what was asked, `hub.wait_until_held()` returns once an answer is held.
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from attrs import define, field, frozen

LARGE = (".safetensors", ".gguf", ".bin")
TIMEOUT_S = 30.0


@frozen
class Asked:
    """A request that came in; `start` is the first byte that it wanted."""

    method: str
    path: str
    start: int = 0
    authorization: str | None = None


@frozen
class Commit:
    """A state of a repository."""

    sha: str
    files: Mapping[str, bytes]


@define
class Repository:
    """Its commits, newest last."""

    commits: list[Commit] = field(factory=list)
    token: str | None = None

    def find(self, revision: str) -> Commit | None:
        if revision == "main":
            return self.commits[-1]
        return next((commit for commit in self.commits if commit.sha == revision), None)


@define(eq=False)
class FakeHub:
    """What the server serves, and how it misbehaves."""

    url: str = ""
    cdn: str = ""
    """Where large files are: the same server by another name, so that clients take it for another host."""
    requests: list[Asked] = field(factory=list)
    repositories: dict[str, Repository] = field(factory=dict)
    drops: dict[str, list[int]] = field(factory=dict)
    holds: dict[str, int] = field(factory=dict)
    corrupted: dict[str, int] = field(factory=dict)
    refusals: list[int] = field(factory=list)
    ranges: bool = True
    """Whether it can begin in the middle of a file."""
    released: threading.Event = field(factory=threading.Event)
    held: threading.Event = field(factory=threading.Event)

    def put(self, repo_id: str, files: Mapping[str, bytes]) -> str:
        """A new commit with just these files; returns its id."""
        repository = self.repositories.setdefault(repo_id, Repository())
        facts = json.dumps([len(repository.commits), *((name, etag(name, files[name])) for name in sorted(files))])
        sha = hashlib.sha1(facts.encode(), usedforsecurity=False).hexdigest()
        repository.commits.append(Commit(sha, dict(files)))
        return sha

    def gate(self, repo_id: str, token: str) -> None:
        """Only who has this token may download."""
        self.repositories[repo_id].token = token

    def drop_after(self, file: str, *sizes_bytes: int) -> None:
        """Break the connections of the next answers, each after so many bytes."""
        self.drops[file] = list(sizes_bytes)

    def hold_after(self, file: str, size_bytes: int) -> None:
        """Send no more than so many bytes of an answer until `release`."""
        self.holds[file] = size_bytes

    def release(self) -> None:
        """Hold nothing any more."""
        self.holds.clear()
        self.released.set()

    def wait_until_held(self) -> None:
        """Return once an answer is held."""
        assert self.held.wait(TIMEOUT_S), "nobody asked for what is to be held"

    def corrupt(self, file: str, times: int = 1) -> None:
        """Serve other bytes of the same length."""
        self.corrupted[file] = times

    def refuse(self, status: int, times: int = 1) -> None:
        """Answer the next requests for files with this status."""
        self.refusals += [status] * times

    def asked_for(self, file: str) -> Sequence[Asked]:
        """The requests that brought bytes of this file, in order."""
        way = "/cdn/" if file.endswith(LARGE) else "/resolve/"
        asked = [request for request in list(self.requests) if request.method == "GET"]
        return [request for request in asked if way in request.path and request.path.endswith(f"/{file}")]


@contextmanager
def fake_hub(repositories: Mapping[str, Mapping[str, bytes]]) -> Iterator[FakeHub]:
    """Serve these repositories on loopback until the end."""
    hub = FakeHub()
    for repo_id, files in repositories.items():
        hub.put(repo_id, files)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False  # so that closing it waits for every answer, and no socket is left open
    hub.url = f"http://127.0.0.1:{server.server_port}"
    hub.cdn = f"http://localhost:{server.server_port}/cdn"
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    serving.start()
    try:
        yield hub
    finally:
        hub.release()
        server.shutdown()
        server.server_close()
        serving.join()


def etag(name: str, content: bytes) -> str:
    """SHA-256 of large files, git's blob id of others."""
    if name.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: ClassVar[FakeHub]
    protocol_version = "HTTP/1.1"
    timeout = TIMEOUT_S

    def do_GET(self) -> None:
        self.close_connection = True
        path = unquote(urlsplit(self.path).path)
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.hub.requests.append(Asked(self.command, path, start, self.headers.get("Authorization")))
        try:
            if path.startswith("/api/models/"):
                self._api(path.removeprefix("/api/models/"))
            elif path.startswith("/cdn/"):
                repo_id, sha, name = _split(path.removeprefix("/cdn/"), "/at/")
                self._content(name, self.hub.repositories[repo_id].find(sha).files[name], start)  # type: ignore[union-attr]
            else:
                self._resolve(*_split(path.removeprefix("/"), "/resolve/"), start)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # they have heard enough

    def do_HEAD(self) -> None:
        self.do_GET()

    def _api(self, path: str) -> None:
        repo_id, _, rest = path.partition("/revision/")
        repo_id, _, tree = repo_id.partition("/tree/")
        repository = self.hub.repositories.get(repo_id)
        if repository is None:
            self._refuse(401, "RepoNotFound")
            return
        commit = repository.find(rest or tree or "main")
        if commit is None:
            self._refuse(404, "RevisionNotFound")
        elif tree:
            self._json([_tree_entry(name, content) for name, content in commit.files.items()])
        else:
            blobs = "blobs" in parse_qs(urlsplit(self.path).query)
            siblings = [_sibling(name, content, blobs=blobs) for name, content in commit.files.items()]
            gated = "manual" if repository.token else False
            self._json({"id": repo_id, "sha": commit.sha, "gated": gated, "siblings": siblings})

    def _resolve(self, repo_id: str, revision: str, name: str, start: int) -> None:
        repository = self.hub.repositories.get(repo_id)
        if repository is None:
            self._refuse(401, "RepoNotFound")
        elif repository.token and self.headers.get("Authorization") != f"Bearer {repository.token}":
            self._refuse(403 if self.headers.get("Authorization") else 401, "GatedRepo")
        elif self.hub.refusals and self.command == "GET":
            self._refuse(self.hub.refusals.pop(0), "")
        elif (commit := repository.find(revision)) is None or name not in commit.files:
            self._refuse(404, "EntryNotFound")
        elif name.endswith(LARGE):
            content = commit.files[name]
            self._start(302, 0, commit=commit.sha, location=f"{self.hub.cdn}/{repo_id}/at/{commit.sha}/{name}")
            self.send_header("X-Linked-Etag", f'"{etag(name, content)}"')
            self.send_header("X-Linked-Size", str(len(content)))
            self.end_headers()
        else:
            self._content(name, commit.files[name], start, commit.sha)

    def _content(self, name: str, content: bytes, start: int, commit: str | None = None) -> None:
        if not self.hub.ranges:
            start = 0
        if start and start >= len(content):
            self._refuse(416, "")
            return
        tag = etag(name, content)
        self._start(206 if start else 200, len(content) - start, commit=commit)
        self.send_header("ETag", f'"{tag}"')
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "GET":
            self._send(name, content, start)

    def _send(self, name: str, content: bytes, start: int) -> None:
        if self.hub.corrupted.get(name, 0):
            self.hub.corrupted[name] -= 1
            content = bytes(byte ^ 1 for byte in content)
        body = content[start:]
        drops = self.hub.drops.get(name)
        if drops:
            self.wfile.write(body[: drops.pop(0)])
            return
        hold = self.hub.holds.get(name)
        if hold is not None:
            self.wfile.write(body[:hold])
            self.wfile.flush()
            body = body[hold:]
            self.hub.held.set()
            self.hub.released.wait(TIMEOUT_S)
        self.wfile.write(body)

    def _start(self, status: int, length: int, *, commit: str | None = None, location: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        if commit:
            self.send_header("X-Repo-Commit", commit)
        if location:
            self.send_header("Location", location)

    def _refuse(self, status: int, reason: str) -> None:
        self._start(status, 0)
        if reason:
            self.send_header("X-Error-Code", reason)
        self.end_headers()

    def _json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self._start(200, len(body))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _sibling(name: str, content: bytes, *, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": name}
    facts: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": etag("", content)}
    if name.endswith(LARGE):
        facts["lfs"] = {"sha256": etag(name, content), "size": len(content), "pointerSize": 134}
    return facts


def _tree_entry(name: str, content: bytes) -> dict[str, Any]:
    facts: dict[str, Any] = {"type": "file", "oid": etag("", content), "size": len(content), "path": name}
    if name.endswith(LARGE):
        facts["lfs"] = {"oid": etag(name, content), "size": len(content), "pointerSize": 134}
    return facts


def _split(path: str, between: str) -> tuple[str, str, str]:
    """Repository, revision and file of `org/name<between>revision/file`."""
    repo_id, _, rest = path.partition(between)
    revision, _, name = rest.partition("/")
    return repo_id, revision, name

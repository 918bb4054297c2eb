import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from attrs import define, field

from lmx.commands.client import Server, configured_url, server_at
from lmx.commands.context import Context
from lmx.commands.conversation import Conversation
from lmx.config.server import Server as Section
from lmx.private_files import replace_private
from lmx.state import Document
from lmx.state.document import encode
from lmx_hookspecs import LmxError
from lmx_hookspecs.errors import Busy, EngineFailed, Forbidden, NotFound, Unavailable

pytestmark = pytest.mark.usefixtures("home")


@define(eq=False)
class Canned:
    """A real HTTP server that gives one answer to everything, and keeps what it was sent."""

    status: int = 200
    body: bytes = b"{}"
    url: str = ""
    headers: list[dict[str, str]] = field(factory=list)
    sent: list[bytes] = field(factory=list)


@pytest.fixture
def canned() -> Iterator[Canned]:
    answer = Canned()

    class Handler(BaseHTTPRequestHandler):
        timeout = 20  # for a client that says nothing

        def do_GET(self) -> None:
            answer.headers.append(dict(self.headers))
            answer.sent.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self.send_response(answer.status)
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_GET  # noqa: N815  the base class's name for it

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        answer.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield answer
        server.shutdown()
        thread.join(20)


def test_an_error_answer_becomes_the_error_that_it_stands_for(canned: Canned) -> None:
    canned.status, canned.body = 429, b'{"error": {"message": "try later", "code": "rate_limit_exceeded"}}'

    with pytest.raises(Busy, match="try later"):
        Server(url=canned.url).get("/x")


def test_a_missing_key_names_the_variable_that_holds_it(canned: Canned) -> None:
    canned.status, canned.body = 403, b'{"error": {"message": "no key", "code": "admin_key_required"}}'

    with pytest.raises(Forbidden, match="LMX_ADMIN_KEY"):
        Server(url=canned.url).post("/x", {})


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, b"<html>"), (500, b'{"error": "text"}'), (502, b"[1]"), (200, b"<html>")],
)
def test_what_is_no_lmx_server_is_called_so(canned: Canned, status: int, body: bytes) -> None:
    canned.status, canned.body = status, body

    with pytest.raises(Unavailable, match="is that an LMX server"):
        Server(url=canned.url).get("/x")


@pytest.mark.parametrize(
    ("body", "found"),
    [(b'{"status": "ok", "version": "1"}', True), (b'{"status": "ok"}', False), (b"[]", False), (b"hello", False)],
)
def test_only_lmx_is_taken_for_lmx(canned: Canned, body: bytes, found: bool) -> None:
    canned.body = body

    assert Server(url=canned.url, api_key="secret").is_lmx() is found
    assert "Authorization" not in canned.headers[0]


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (b'data: {"error": {"message": "it died", "code": "engine_failed"}}\n\n', EngineFailed, "it died"),
        (b'data: {"error": 1}\n\n', EngineFailed, "broke the stream off"),
        (b'data: {"a": 1}\n\n', EngineFailed, "before the answer was complete"),
        (b"data: nonsense\n\ndata: [DONE]\n\n", Unavailable, "not a JSON object"),
        (b"data: [1]\n\ndata: [DONE]\n\n", Unavailable, "not a JSON object"),
    ],
)
def test_a_stream_that_breaks_is_an_error(canned: Canned, body: bytes, error: type[LmxError], message: str) -> None:
    canned.body = body

    with pytest.raises(error, match=message):
        list(Server(url=canned.url).stream("/x", {}))


@pytest.mark.parametrize("url", ["http://[::1", "localhost:1234", "http://\x00", "ftp://localhost"])
def test_an_address_that_is_none_is_a_clear_error(url: str) -> None:
    with pytest.raises(Unavailable, match="failed: "):
        Server(url=url).get("/x")


def test_text_that_cannot_be_sent_is_a_clear_error(canned: Canned) -> None:
    with pytest.raises(Unavailable, match="surrogates not allowed"):
        Server(url=canned.url).post("/x", {"model": "\ud800"})


def test_a_key_that_is_not_ascii_is_sent_all_the_same(canned: Canned) -> None:
    Server(url=canned.url, admin_key="schlüssel").get("/x")

    assert canned.headers[0]["X-Admin-Key"].encode("latin-1").decode() == "schlüssel"


def test_files_go_out_as_a_form_under_the_names_that_they_are_given(canned: Canned, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"what it holds")

    Server(url=canned.url, api_key="secret").upload("/x", [("ü.txt", tmp_path / "x")], {"collection": "mine"})

    sent = canned.sent[0]
    assert canned.headers[0]["Content-Type"].startswith("multipart/form-data; boundary=")
    assert canned.headers[0]["Authorization"] == "Bearer secret"
    assert b'name="collection"\r\n\r\nmine\r\n' in sent
    assert 'name="files"; filename="ü.txt"'.encode() in sent
    assert b"what it holds" in sent


def test_a_file_that_cannot_be_opened_is_an_os_error_of_whoever_sends_it(canned: Canned, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Server(url=canned.url).upload("/x", [("x", tmp_path / "x")], {})


def test_an_answer_is_put_into_a_new_file(canned: Canned, tmp_path: Path) -> None:
    canned.body = b"\x00" * 100_000

    assert Server(url=canned.url).download("/x", tmp_path / "x") == 100_000
    assert (tmp_path / "x").read_bytes() == canned.body
    with pytest.raises(FileExistsError):
        Server(url=canned.url).download("/x", tmp_path / "x")


def test_nothing_is_left_of_a_download_that_fails(canned: Canned, tmp_path: Path) -> None:
    canned.status, canned.body = 404, b'{"error": {"message": "no such thing", "code": "not_found"}}'

    with pytest.raises(NotFound, match="no such thing"):
        Server(url=canned.url).download("/x", tmp_path / "x")

    assert list(tmp_path.glob("x")) == []


def test_the_commands_of_plugins_reach_the_same_server(config_dir: Callable[..., Path]) -> None:
    context = Context(config_dir=config_dir())

    assert context.server() == server_at(context, None)
    assert context.server("http://elsewhere:1/v1").url == "http://elsewhere:1"


def test_another_server_is_not_sent_the_keys_of_this_one(config_dir: Callable[..., Path]) -> None:
    folder = config_dir(security={"api_keys": ["own"], "admin_key": "own too"})
    context = Context(config_dir=folder)

    here, there = server_at(context, None), server_at(context, "http://elsewhere:1234/v1/")

    assert (here.api_key, here.admin_key) == ("own", "own too")
    assert (there.url, there.api_key, there.admin_key) == ("http://elsewhere:1234", None, None)


LMX_ANSWER = b'{"status": "ok", "version": "1"}'


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_server_of_this_home_is_found_at_another_port(
    home: Path, config_dir: Callable[..., Path], canned: Canned, host: str
) -> None:
    canned.body = LMX_ANSWER
    recorded = canned.url.replace("127.0.0.1", host)
    replace_private(home / "home" / "state.json", encode(Document(clean=False, pid=os.getpid(), url=recorded)))

    server = server_at(Context(config_dir=config_dir()), None)

    assert server.url == canned.url


def test_what_answers_at_the_recorded_port_must_be_lmx(
    home: Path, config_dir: Callable[..., Path], canned: Canned, closed_port: int
) -> None:
    canned.body = b"{}"
    replace_private(home / "home" / "state.json", encode(Document(clean=False, pid=os.getpid(), url=canned.url)))

    server = server_at(Context(config_dir=config_dir()), None)

    assert server.url == f"http://127.0.0.1:{closed_port}"


def test_a_configured_server_that_answers_comes_before_the_recorded_one(
    home: Path, config_dir: Callable[..., Path], canned: Canned
) -> None:
    canned.body = LMX_ANSWER
    port = int(canned.url.rpartition(":")[2])
    context = Context(config_dir=config_dir(server={"port": port}))
    elsewhere = Document(clean=False, pid=os.getpid(), url="http://127.0.0.1:9")
    replace_private(home / "home" / "state.json", encode(elsewhere))

    assert server_at(context, None).url == canned.url


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:1234"),
        ("0.0.0.0", "http://127.0.0.1:1234"),
        ("::", "http://[::1]:1234"),
        ("localhost", "http://localhost:1234"),
    ],
)
def test_a_server_is_reached_where_it_listens(host: str, url: str) -> None:
    assert configured_url(Section(host=host)) == url


def test_an_answer_that_breaks_off_is_remembered_as_far_as_it_came(canned: Canned) -> None:
    canned.body = b'data: {"choices": [{"delta": {"content": "half"}}]}\n\n'
    conversation = Conversation(server=Server(url=canned.url), model="m", system="be brief")

    with pytest.raises(EngineFailed):
        list(conversation.stream("question"))

    assert [message["content"] for message in conversation.messages] == ["question", "half"]


def test_a_question_without_an_answer_leaves_no_trace(canned: Canned) -> None:
    canned.status, canned.body = 429, b'{"error": {"message": "try later", "code": "rate_limit_exceeded"}}'
    conversation = Conversation(server=Server(url=canned.url), model="m")

    with pytest.raises(Busy):
        list(conversation.stream("question"))

    assert conversation.messages == []


def test_an_event_stream_counts_as_open_before_its_first_event(canned: Canned) -> None:
    canned.body = b": nothing yet\n\nid: 7\nevent: model_loaded\ndata: {}\n\n"

    with Server(url=canned.url).subscribed("/x", after="6") as events:
        opened = len(canned.headers)
        first = next(events)

    assert opened == 1
    assert (first.type, first.id) == ("model_loaded", "7")
    assert canned.headers[0]["Last-Event-ID"] == "6"

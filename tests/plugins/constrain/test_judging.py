"""Judging answers by schemas that mean harm, or are none: bounded, within this process, and without an exception."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from lmx_constrain.judging import judge_for, judge_of
from lmx_hookspecs import Constraint
from lmx_hookspecs.errors import InvalidRequest


def bomb(levels: int) -> dict[str, Any]:
    """Each level is looked at twice as often as the one before."""
    defs: dict[str, Any] = {f"a{level}": {"anyOf": [{"$ref": f"#/$defs/a{level + 1}"}] * 2} for level in range(levels)}
    return {"not": {"$ref": "#/$defs/a0"}, "$defs": {**defs, f"a{levels}": False}}


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """A server of schemas, and what it was asked for."""
    paths: list[str] = []

    class Schemas(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"const": "SECRET"}')

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Schemas)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/x.json", paths
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef"])
def test_nothing_is_fetched_from_the_network(asked: tuple[str, list[str]], keyword: str) -> None:
    url, paths = asked

    flaw = judge_of({keyword: url}, '{"a": 1}')

    assert paths == []
    assert "could not be checked" in str(flaw)


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef"])
def test_nothing_is_read_from_the_disk(tmp_path: Path, keyword: str) -> None:
    (tmp_path / "x.json").write_text('{"const": "SECRET"}')

    flaw = judge_of({keyword: (tmp_path / "x.json").as_uri()}, '{"a": 1}')

    assert "SECRET" not in str(flaw)
    assert "could not be checked" in str(flaw)


def test_a_bomb_of_references_is_given_up_after_so_many_checks() -> None:
    assert "asks for more than" in str(judge_of(bomb(40), "{}"))


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef"])
def test_references_in_a_circle_are_given_up(keyword: str) -> None:
    assert "could not be checked" in str(judge_of({"not": {keyword: "#"}}, "{}"))


@pytest.mark.parametrize(
    "schema",
    [
        {"not": {"minProperties": "a"}},
        {"not": {"type": "foo"}},
        {"multipleOf": 0},
        {"properties": []},
        {"allOf": 3},
        {"required": 5},
        {"$schema": 7},
        {"enum": None},
    ],
    ids=json.dumps,
)
def test_a_schema_that_is_none_raises_nothing(schema: Any) -> None:
    for answer in ('{"a": 1}', "5", "[1]"):
        judge_of(schema, answer)


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"type": "array", "contains": {"type": "string", "pattern": "^a"}}, '["x"]', "[1]"),
        ({"patternProperties": {"^a": True}, "dependentRequired": {"a": ["b"]}}, '{"a": 1, "b": 2}', '{"a": 1}'),
        ({"uniqueItems": True}, "[1, 2]", "[1, 1]"),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}}, "1", '"a"'),
        ({"patternProperties": {"^(a+)+$": True}, "additionalProperties": False, "required": ["b"]}, '{"b": 1}', "{}"),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "integer"}]}, "[1]", '["a"]'),
    ],
)
def test_what_can_be_checked_is(schema: Any, right: str, wrong: str) -> None:
    assert judge_of(schema, right) is None
    assert "does not satisfy" in str(judge_of(schema, wrong))


@pytest.mark.parametrize("schema", ["text", None, {"type": "frob"}, {"enum": ["x" * 1000] * 1000}])
def test_a_schema_that_cannot_be_used_is_refused(schema: Any) -> None:
    with pytest.raises(InvalidRequest, match="cannot be used"):
        judge_for(Constraint(kind="json_schema", source=schema))

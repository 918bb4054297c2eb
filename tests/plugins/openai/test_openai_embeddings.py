"""POST /v1/embeddings."""

from array import array
from base64 import b64decode
from collections.abc import AsyncIterator
from typing import Any

import pytest
from attrs import define, field

from http_support import FakeServices, Served, error_of, serving
from lmx_hookspecs import EmbeddingRequest, Embeddings, LmxError
from lmx_hookspecs.errors import EngineFailed, ModelNotFound, Unavailable
from lmx_openai import lmx_surfaces


@define(eq=False)
class EmbeddingServices(FakeServices):
    """Answers with vectors that tell which input they are for."""

    wanted: list[EmbeddingRequest] = field(factory=list)
    tokens: int | None = 5
    error: LmxError | None = None

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        self.wanted.append(request)
        if self.error is not None:
            raise self.error
        vectors = [[float(place), 0.5] for place in range(len(request.inputs))]
        return Embeddings(vectors=vectors, prompt_tokens=self.tokens, model="real-model", served_by="box/real-model")


@pytest.fixture
def services() -> EmbeddingServices:
    return EmbeddingServices()


@pytest.fixture
async def server(services: EmbeddingServices) -> AsyncIterator[Served]:
    async with serving(surfaces=lmx_surfaces(), services=services) as served:
        yield served


async def ask(server: Served, **body: Any) -> Any:
    return await server.ask("POST", "/v1/embeddings", json={"model": "m", **body})


async def test_one_text_becomes_one_vector(server: Served, services: EmbeddingServices) -> None:
    answer = await ask(server, input="hello", user="me")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-lmx-served-by"] == "box/real-model"
    assert answer.json() == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.0, 0.5]}],
        "model": "real-model",
        "usage": {"prompt_tokens": 5, "total_tokens": 5},
    }
    assert (services.wanted[0].inputs, services.wanted[0].surface) == (("hello",), "embeddings")


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        (["a", "b"], ("a", "b")),
        ([1, 2, 3], ((1, 2, 3),)),
        ([[1, 2], [3]], ((1, 2), (3,))),
        ("", ("",)),
    ],
)
async def test_inputs_are_texts_or_token_ids(
    server: Served, services: EmbeddingServices, given: Any, inputs: Any
) -> None:
    answer = await ask(server, input=given, dimensions=2)

    assert len(answer.json()["data"]) == len(inputs)
    assert (services.wanted[0].inputs, services.wanted[0].dimensions) == (inputs, 2)


async def test_vectors_come_in_base64_where_that_is_asked_for(server: Served) -> None:
    answer = await ask(server, input=["a", "b"], encoding_format="base64")

    vectors = [array("f", b64decode(entry["embedding"])).tolist() for entry in answer.json()["data"]]
    assert vectors == [[0.0, 0.5], [1.0, 0.5]]


async def test_a_large_batch_comes_whole(server: Served) -> None:
    answer = await ask(server, input=["a"] * 100)

    assert [entry["index"] for entry in answer.json()["data"]] == list(range(100))


@pytest.mark.parametrize("given", [[], [[]], [[1], []], ["a"] * 2049])
async def test_nothing_or_too_much_is_no_input(server: Served, given: Any) -> None:
    answer = await ask(server, input=given)

    assert answer.status_code == 400
    assert (error_of(answer)["code"], error_of(answer)["param"]) == ("invalid_input", "input")


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "input", "invalid_value"),
        ({"input": 7}, "input", "invalid_value"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format", "invalid_value"),
        ({"input": "a", "dimensions": 0}, "dimensions", "invalid_value"),
        ({"input": "a", "truncate": "END"}, "truncate", "unsupported_parameter"),
    ],
)
async def test_a_bad_field_is_named(server: Served, body: dict[str, Any], param: str, code: str) -> None:
    answer = await ask(server, **body)

    assert answer.status_code == 400
    assert (error_of(answer)["param"], error_of(answer)["code"]) == (param, code)


async def test_tokens_that_nobody_counted_are_told_of(server: Served, services: EmbeddingServices) -> None:
    services.tokens = None

    answer = (await ask(server, input="a")).json()

    assert answer["usage"] == {"prompt_tokens": 0, "total_tokens": 0}
    assert answer["warnings"] == ["token counts are unknown: what answers does not report them"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (EngineFailed("down", code="helper_node_unavailable"), 502),
        (Unavailable("nobody", code="embedding_unavailable"), 503),
        (ModelNotFound("no", param="model"), 404),
    ],
)
async def test_failures_have_statuses_of_their_own(
    server: Served, services: EmbeddingServices, error: LmxError, status: int
) -> None:
    services.error = error

    answer = await ask(server, input="a")

    assert (answer.status_code, error_of(answer)["code"]) == (status, error.code)

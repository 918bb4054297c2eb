"""The built-in embedding model through the unmodified OpenAI SDK, with nothing configured and no network."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from serving import Server, served

MODEL = "lmx-tiny-embed"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("embed"), {}) as started:
        yield started


@pytest.fixture
def client(server: Server) -> Iterator[Any]:  # its request types are narrower than plain dictionaries
    with OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


def vectors_of(answer: Any) -> list[list[float]]:
    assert [entry.index for entry in answer.data] == list(range(len(answer.data)))
    return [entry.embedding for entry in answer.data]


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


def test_what_means_the_same_is_alike(client: Any) -> None:
    answer = client.embeddings.create(
        model=MODEL, input=["The cat sleeps on the sofa.", "A kitten naps on a couch.", "Interest rates rise."]
    )

    cat, kitten, money = vectors_of(answer)
    assert answer.model == MODEL
    assert len(cat) == 256
    assert math.hypot(*cat) == pytest.approx(1, abs=1e-5)
    assert cosine(cat, kitten) > cosine(cat, money) + 0.2


def test_floats_base64_text_list_and_token_ids_agree(client: Any) -> None:
    packed = client.embeddings.create(model=MODEL, input="hello world")  # the SDK asks for base64
    written = client.embeddings.create(model=MODEL, input=["hello world"], encoding_format="float")
    several = client.embeddings.create(model=MODEL, input=["other", "hello world"], encoding_format="float")

    assert vectors_of(packed)[0] == pytest.approx(vectors_of(written)[0], abs=1e-7)
    assert vectors_of(several)[1] == vectors_of(written)[0]
    assert packed.usage.prompt_tokens == packed.usage.total_tokens == 2
    assert several.usage.prompt_tokens == 3


def test_token_ids_are_embedded_alone_and_in_lists(client: Any) -> None:
    alone = client.embeddings.create(model=MODEL, input=[2000, 2001, 2002])
    listed = client.embeddings.create(model=MODEL, input=[[5], [2000, 2001, 2002]])

    assert vectors_of(listed)[1] == vectors_of(alone)[0]
    assert (alone.usage.prompt_tokens, listed.usage.prompt_tokens) == (3, 4)


def test_dimensions_are_the_first_ones_at_length_one(client: Any) -> None:
    (whole,) = vectors_of(client.embeddings.create(model=MODEL, input="hello world"))
    (short,) = vectors_of(client.embeddings.create(model=MODEL, input="hello world", dimensions=64))

    norm = math.hypot(*whole[:64])
    assert short == pytest.approx([value / norm for value in whole[:64]], abs=1e-6)


def test_the_largest_batch_is_answered(client: Any) -> None:
    texts = [f"sentence number {number} of many" for number in range(2048)]

    answer = client.embeddings.create(model=MODEL, input=texts)

    assert len(vectors_of(answer)) == 2048
    assert vectors_of(answer)[77] == vectors_of(client.embeddings.create(model=MODEL, input=texts[77]))[0]


def test_auto_is_the_model_that_embeds(client: Any) -> None:
    assert client.embeddings.create(model="auto", input="hello").model == MODEL


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": ["fine", " \n"]}, "input"),
        ({"input": []}, "input"),
        ({"input": [29_525]}, "input"),
        ({"input": [[-1]]}, "input"),
        ({"input": "word " * 8_193}, "input"),
        ({"input": ["x"] * 2_049}, "input"),
        ({"input": "fine", "dimensions": 257}, "dimensions"),
        ({"input": "fine", "dimensions": 0}, "dimensions"),
    ],
)
def test_what_cannot_be_embedded_is_refused_by_name(client: Any, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        client.embeddings.create(model=MODEL, **fields)

    assert refused.value.param == param


def test_other_models_and_unknown_ones_are_refused_with_those_that_embed(client: Any) -> None:
    with pytest.raises(BadRequestError, match=f"'lmx-tiny' is not made for embedding.*here: .*{MODEL}"):
        client.embeddings.create(model="lmx-tiny", input="hello")
    with pytest.raises(NotFoundError, match=f"no model 'nobody'.*here: .*{MODEL}"):
        client.embeddings.create(model="nobody", input="hello")


def test_a_request_without_a_model_says_where_they_are_listed(server: Server) -> None:
    with server.client() as http:
        answer = http.post("/v1/embeddings", json={"input": "hello"})

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "model"
    assert answer.json()["error"]["message"] == "model: is required: a model id or alias of GET /v1/models, or auto"


def test_a_chat_is_refused_and_auto_for_chats_is_another_model(client: Any) -> None:
    with pytest.raises(BadRequestError, match=MODEL):
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hello"}])

    answer = client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "hello"}], max_tokens=1)
    assert answer.model == "lmx-tiny"


def test_without_an_engine_that_embeds_it_is_listed_and_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    config = {"plugins": {name: {"enabled": False} for name in ("static", "mlx", "gguf")}}
    with served(tmp_path_factory.mktemp("bare"), config) as started, started.client() as http:
        listed = {model["id"]: model["lmx"]["state"] for model in http.get("/v1/models").json()["data"]}
        named = http.post("/v1/embeddings", json={"model": MODEL, "input": "hello"})
        chosen = http.post("/v1/embeddings", json={"model": "auto", "input": "hello"})
        unknown = http.post("/v1/embeddings", json={"model": "nobody", "input": "hello"})

    assert listed[MODEL] == "no_engine"
    for answer in (named, chosen, unknown):
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "no_engine"

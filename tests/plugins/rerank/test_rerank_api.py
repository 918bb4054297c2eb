"""Remote APIs that rerank, on a real socket."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lmx_hookspecs import LmxError, ModelInfo
from lmx_hookspecs.errors import Busy, EngineFailed, InvalidRequest, TooLarge, Unavailable
from lmx_hookspecs.testing import FakeContext
from lmx_rerank.api import Api, api_of
from lmx_rerank.config import RerankConfig, RerankModel
from lmx_rerank.loading import load
from rerank_support import DOCUMENTS, QUERY, RerankApi, rerank_api

COMMON = [0.5, 0.25, 0.25, 0.0, 0.25]
"""How many of the query's words each document has."""


@pytest.fixture
def api() -> Iterator[RerankApi]:
    with rerank_api() as made:
        yield made


def asking(api: RerankApi, provider: Any = None, **facts: Any) -> Api:
    return api_of(RerankModel(type="api", name="m", url=api.url, provider=provider, **facts))


@pytest.mark.parametrize("provider", [None, "cohere", "jina"])
def test_scores_come_in_the_order_of_the_documents(api: RerankApi, provider: str | None) -> None:
    asked = asking(api, provider, api_key="secret")

    scores = asked.rerank(QUERY, DOCUMENTS)

    assert scores == COMMON
    assert asked.count_tokens(QUERY, DOCUMENTS) == 21
    ((path, headers, body),) = api.asked
    assert (path, headers["authorization"]) == ("/v1/rerank", "Bearer secret")
    assert body == {
        "model": "m",
        "query": QUERY,
        "documents": list(DOCUMENTS),
        "top_n": len(DOCUMENTS),
        "return_documents": False,
    }
    asked.close()


@pytest.mark.parametrize(
    ("provider", "shape", "sent"),
    [
        ("voyage", {"results": "data"}, {"top_k": 5, "return_documents": False}),
        (
            "mixedbread",
            {"results": "data", "documents": "input", "score": "score"},
            {"top_k": 5, "return_input": False},
        ),
        ("tei", {"results": "", "documents": "texts", "score": "score"}, {"truncate": True, "return_text": False}),
    ],
)
def test_each_provider_is_asked_in_its_own_words(
    api: RerankApi, provider: str, shape: dict[str, str], sent: dict[str, Any]
) -> None:
    for name, value in shape.items():
        setattr(api, name, value)
    asked = asking(api, provider)

    assert asked.rerank(QUERY, DOCUMENTS) == COMMON

    ((_, headers, body),) = api.asked
    assert sent.items() <= body.items()
    assert "authorization" not in headers
    asked.close()


def test_an_api_that_counts_nothing_leaves_the_count_open(api: RerankApi) -> None:
    api.usage = None
    asked = asking(api)

    asked.rerank(QUERY, DOCUMENTS)

    assert asked.count_tokens(QUERY, DOCUMENTS) is None
    asked.close()


@pytest.mark.parametrize(
    ("status", "body", "error", "message"),
    [
        (400, {"message": "too many words"}, InvalidRequest, "refuses the request: too many words"),
        (422, {"error": {"message": "odd"}}, InvalidRequest, "refuses the request: odd"),
        (401, {"detail": "who are you"}, EngineFailed, "does not let us in; check its api_key"),
        (404, {}, EngineFailed, "check name and url"),
        (413, {"error": "huge"}, TooLarge, "too large .* huge"),
        (429, {}, Busy, "try again later"),
        (503, {}, Unavailable, "takes no work now"),
        (500, b"<html>", EngineFailed, "answered 500"),
        (302, {}, EngineFailed, "answered 302"),
    ],
)
def test_a_refusal_is_the_error_that_it_means(
    api: RerankApi, status: int, body: Any, error: type[LmxError], message: str
) -> None:
    api.status, api.answer, api.headers = status, body, {"retry-after": "7"}
    asked = asking(api, api_key="jina_secret")

    with pytest.raises(error, match=message) as raised:
        asked.rerank(QUERY, DOCUMENTS)

    assert "jina_secret" not in f"{raised.value} {raised.value.detail}"
    assert raised.value.retry_after_s == (7 if status in (429, 503) else None)
    asked.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"no JSON",
        b"[" * 100_000,
        [],
        {"results": []},
        {"results": [{"index": place, "relevance_score": 1} for place in (0, 1, 2, 3, 3)]},
        {"results": [{"index": place, "relevance_score": "x"} for place in range(5)]},
        {"results": [{"index": place, "relevance_score": 1e400} for place in range(5)]},
    ],
)
def test_a_ranking_that_is_none_fails(api: RerankApi, answer: Any) -> None:
    api.answer = answer
    asked = asking(api)

    with pytest.raises(EngineFailed, match=r"that nobody can read|not JSON"):
        asked.rerank(QUERY, DOCUMENTS)
    asked.close()


def test_an_api_that_is_silent_is_given_up(api: RerankApi) -> None:
    api.hold = threading.Event()
    asked = asking(api, timeout_s=0.2)

    with pytest.raises(EngineFailed, match="does not answer: ReadTimeout"):
        asked.rerank(QUERY, DOCUMENTS)
    asked.close()


def test_an_api_that_is_not_there_fails_with_its_address() -> None:
    asked = api_of(RerankModel(type="api", name="m", url="http://127.0.0.1:9/v1/rerank"))

    with pytest.raises(EngineFailed, match=r"http://127\.0\.0\.1:9/v1/rerank does not answer: ConnectError"):
        asked.rerank(QUERY, DOCUMENTS)
    asked.close()


def test_an_answer_that_takes_too_long_as_a_whole_is_given_up(api: RerankApi) -> None:
    asked = asking(api, timeout_s=5)
    asked.clock = iter([0.0, 6.0]).__next__

    with pytest.raises(EngineFailed, match="took longer than 5 s"):
        asked.rerank(QUERY, DOCUMENTS)
    asked.close()


def test_the_key_may_stand_in_the_environment(api: RerankApi) -> None:
    entry = RerankModel(type="api", name="m", url=api.url, api_key_env="RERANK_KEY")

    asked = api_of(entry, {"RERANK_KEY": "from there"})
    asked.rerank(QUERY, DOCUMENTS)

    assert api.asked[0][1]["authorization"] == "Bearer from there"
    with pytest.raises(EngineFailed, match="RERANK_KEY holds no key"):
        api_of(entry, {})
    asked.close()


def test_a_model_of_the_configuration_is_loaded_without_asking_anybody(api: RerankApi) -> None:
    entry = RerankModel(type="api", name="m", url=api.url)
    context = FakeContext(config=RerankConfig(models={"there": entry}, timeout_s=3))

    loaded = load(context, ModelInfo(id="there", format="rerank-api"))

    assert isinstance(loaded, Api)
    assert (loaded.timeout_s, loaded.batch_size, api.asked) == (3, 1000, [])
    assert loaded.describe() == {"url": api.url, "model": "m"}
    loaded.close()

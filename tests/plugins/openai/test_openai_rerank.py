"""POST /v1/rerank."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from attrs import define, field

from http_support import FakeServices, Served, error_of, serving
from lmx_hookspecs import LmxError, RankedDocument, Reranking, RerankRequest
from lmx_hookspecs.errors import EngineFailed, Unavailable
from lmx_openai import lmx_surfaces


@define(eq=False)
class RerankServices(FakeServices):
    """The last document is the best."""

    wanted: list[RerankRequest] = field(factory=list)
    tokens: int | None = 9
    error: LmxError | None = None

    async def rerank(self, request: RerankRequest) -> Reranking:
        self.wanted.append(request)
        if self.error is not None:
            raise self.error
        places = reversed(range(len(request.documents)))
        ranked = [RankedDocument(place, place / 10) for place in places][: request.top_n]
        return Reranking(results=ranked, total_tokens=self.tokens, model="ranker", served_by="reranking/ranker")


@pytest.fixture
def services() -> RerankServices:
    return RerankServices()


@pytest.fixture
async def server(services: RerankServices) -> AsyncIterator[Served]:
    async with serving(surfaces=lmx_surfaces(), services=services) as served:
        yield served


async def ask(server: Served, path: str = "/v1/rerank", **body: Any) -> Any:
    return await server.ask("POST", path, json={"model": "m", "query": "q", "documents": ["a", "b"], **body})


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank"])
async def test_documents_come_back_best_first(server: Served, services: RerankServices, path: str) -> None:
    answer = await ask(server, path, documents=["a", {"text": "b", "title": "B"}])

    assert answer.status_code == 200
    assert answer.headers["x-lmx-served-by"] == "reranking/ranker"
    assert answer.json() == {
        "results": [
            {"index": 1, "relevance_score": 0.1, "document": {"text": "b"}},
            {"index": 0, "relevance_score": 0.0, "document": {"text": "a"}},
        ],
        "model": "ranker",
        "usage": {"total_tokens": 9},
    }
    assert (services.wanted[0].documents, services.wanted[0].surface) == (["a", "b"], "rerank")


async def test_no_more_results_than_asked_for_and_no_texts_unless_wanted(
    server: Served, services: RerankServices
) -> None:
    one = (await ask(server, top_n=1, return_documents=False)).json()
    all_of_them = (await ask(server, top_n=50)).json()

    assert one["results"] == [{"index": 1, "relevance_score": 0.1}]
    assert len(all_of_them["results"]) == 2
    assert [request.top_n for request in services.wanted] == [1, 2]


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"query": " \n"}, "query", "invalid_input"),
        ({"query": None}, "query", "invalid_value"),
        ({"documents": []}, "documents", "invalid_value"),
        ({"documents": [7]}, "documents[0]", "invalid_value"),
        ({"documents": ["a", {"title": "b"}]}, "documents[1].text", "invalid_value"),
        ({"top_n": 0}, "top_n", "invalid_value"),
        ({"rank_fields": ["title"]}, "rank_fields", "unsupported_parameter"),
    ],
)
async def test_a_bad_field_is_named(server: Served, body: dict[str, Any], param: str, code: str) -> None:
    answer = await ask(server, **body)

    assert answer.status_code == 400
    assert (error_of(answer)["param"], error_of(answer)["code"]) == (param, code)


async def test_tokens_that_nobody_counted_are_told_of(server: Served, services: RerankServices) -> None:
    services.tokens = None

    answer = (await ask(server)).json()

    assert answer["usage"] == {"total_tokens": 0}
    assert answer["warnings"] == ["token counts are unknown: what answers does not report them"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (EngineFailed("down", code="helper_node_unavailable"), 502),
        (Unavailable("nobody", code="reranking_unavailable"), 503),
    ],
)
async def test_failures_have_statuses_of_their_own(
    server: Served, services: RerankServices, error: LmxError, status: int
) -> None:
    services.error = error

    answer = await ask(server)

    assert (answer.status_code, error_of(answer)["code"]) == (status, error.code)

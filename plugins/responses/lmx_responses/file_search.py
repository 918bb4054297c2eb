"""The tool `file_search`: what a request may say of it, and what models are shown of it."""

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from attrs import frozen

from lmx_hookspecs.errors import InvalidRequest, UnsupportedParameter
from lmx_hookspecs.filters import parse_filter

NAME = "file_search"
FIELDS = ("type", "vector_store_ids", "max_num_results", "filters", "ranking_options")
RANKING_FIELDS = ("ranker", "score_threshold", "hybrid_search")
RANKERS = (None, "none", "auto", "default-2024-11-15")
MAX_STORES = 16
MAX_RESULTS, RESULTS = 50, 20
MAX_QUERIES = 4
"""Of one call; models that ask more have no better answers."""
MAX_QUERY = 2000
"""Characters; of longer texts the end is searched for."""
FUNCTION: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": NAME,
        "description": "Search the user's files. Call it before you answer questions that the files may answer.",
        "parameters": {
            "type": "object",
            "properties": {
                "queries": {
                    "type": "array",
                    "items": {"type": "string"},
                    "minItems": 1,
                    "maxItems": MAX_QUERIES,
                    "description": "What to look for, each in a few words or one sentence",
                }
            },
            "required": ["queries"],
        },
    },
}


@frozen(kw_only=True)
class FileSearch:
    """Where to search, and for how much."""

    stores: Sequence[str]
    max_results: int
    filter: Mapping[str, Any] | None
    min_score: float
    weights: tuple[float, float] | None
    """Of the vectors and of the words; None is what the section `rag` says."""
    rerank: bool | None
    place: str
    """Of the tool in the request, for errors."""


def file_search(tool: Mapping[str, Any], place: str) -> FileSearch:
    """Raises InvalidRequest and UnsupportedParameter."""
    _only(tool, FIELDS, place)
    filters, given = tool.get("filters"), tool.get("ranking_options")
    ranking = {} if given is None else given
    if filters is not None:
        parse_filter(filters, f"{place}.filters")
    if not isinstance(ranking, Mapping):
        raise _wrong(f"{place}.ranking_options", "must be an object")
    _only(ranking, RANKING_FIELDS, f"{place}.ranking_options")
    ranker = ranking.get("ranker")
    if ranker not in RANKERS:
        raise _wrong(f"{place}.ranking_options.ranker", f"must be one of {', '.join(filter(None, RANKERS))}")
    return FileSearch(
        stores=_stores(tool.get("vector_store_ids"), f"{place}.vector_store_ids"),
        max_results=_max_results(tool.get("max_num_results"), f"{place}.max_num_results"),
        filter=filters,
        min_score=_number(ranking, "score_threshold", f"{place}.ranking_options", 1.0) or 0.0,
        weights=_weights(ranking.get("hybrid_search"), f"{place}.ranking_options.hybrid_search"),
        rerank=False if ranker == "none" else None,
        place=place,
    )


def queries_of(arguments: str, fallback: str) -> list[str]:
    """What a call asks for. Small models write all sorts of things; where it is nothing, `fallback` is asked."""
    try:
        given = json.loads(arguments)
    except ValueError:
        given = None
    if isinstance(given, Mapping):
        given = next((given[key] for key in ("queries", "query") if given.get(key)), None)
    listed = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    queries = [text.strip()[-MAX_QUERY:] for text in listed if isinstance(text, str) and text.strip()]
    return list(dict.fromkeys(queries))[:MAX_QUERIES] or [fallback.strip()[-MAX_QUERY:]]


def _stores(given: Any, place: str) -> Sequence[str]:
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise _wrong(place, "must be a list of at least one vector store's id")
    if len(given) > MAX_STORES:
        raise _wrong(place, f"may have at most {MAX_STORES} ids")
    if not all(isinstance(one, str) and one for one in given):
        raise _wrong(place, "must be a list of ids, which are strings")
    return list(dict.fromkeys(given))


def _max_results(given: Any, place: str) -> int:
    if given is None:
        return RESULTS
    if type(given) is not int or not 1 <= given <= MAX_RESULTS:
        raise _wrong(place, f"must be an integer between 1 and {MAX_RESULTS}")
    return given


def _weights(given: Any, place: str) -> tuple[float, float] | None:
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise _wrong(place, "must be an object with embedding_weight and text_weight")
    weights = [_number(given, name, place, 5.0) for name in ("embedding_weight", "text_weight")]
    if weights[0] is None or weights[1] is None or not any(weights):
        raise _wrong(place, "needs embedding_weight and text_weight, and one above 0")
    return weights[0], weights[1]


def _number(given: Mapping[str, Any], name: str, place: str, highest: float) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not isfinite(value)
        or not 0 <= value <= highest
    ):
        raise _wrong(f"{place}.{name}", f"must be a number between 0 and {highest:g}")
    return float(value)


def _only(given: Mapping[str, Any], known: Sequence[str], place: str) -> None:
    for name, value in given.items():
        if name not in known and value is not None:
            raise UnsupportedParameter(f"{place}.{name} is not supported; leave it out", param=f"{place}.{name}")


def _wrong(place: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"{place} {message}", param=place)

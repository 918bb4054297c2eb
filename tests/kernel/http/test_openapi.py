from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen
from openapi_spec_validator import OpenAPIV31SpecValidator

from http_support import FakeContext, FakeServices, serving
from lmx.http.openapi import document, operation_id
from lmx.http.operations import operations_of
from lmx.http.schemas import Schemas
from lmx_hookspecs import Route, SurfaceSpec, option
from lmx_openai import lmx_surfaces


class Colour(StrEnum):
    RED = "red"


@frozen(kw_only=True)
class Leaf:
    """A leaf."""

    name: str = option(doc="what it is called", min_length=1, max_length=9)


@frozen(kw_only=True)
class Tree:
    """A tree."""

    height: float = option(ge=0, le=100)
    leaves: Sequence[Leaf] = ()
    by_name: Mapping[str, Leaf] = field(factory=dict)
    colour: Colour | None = None
    kind: Literal["oak", "fir"] = "oak"
    where: Path | None = None
    parent: "Tree | None" = None
    anything: Any = None
    level: str = option("low", choices=["low", "high"])
    mood: str | None = option(None, choices=["calm"])


async def handler(*_: Any) -> Any:
    raise NotImplementedError


def test_an_attrs_class_becomes_a_schema_with_its_ranges() -> None:
    schemas = Schemas()

    reference = schemas.of(Tree)

    tree = schemas.named["Tree"]
    assert reference == {"$ref": "#/components/schemas/Tree"}
    assert tree["required"] == ["height"]
    assert tree["description"] == "A tree."
    assert tree["properties"] == {
        "height": {"type": "number", "minimum": 0, "maximum": 100},
        "leaves": {"type": "array", "items": {"$ref": "#/components/schemas/Leaf"}},
        "by_name": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Leaf"}},
        "colour": {"anyOf": [{"enum": ["red"]}, {"type": "null"}], "default": None},
        "kind": {"enum": ["oak", "fir"], "default": "oak"},
        "where": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "parent": {"anyOf": [{"$ref": "#/components/schemas/Tree"}, {"type": "null"}], "default": None},
        "anything": {"default": None},
        "level": {"type": "string", "enum": ["low", "high"], "default": "low"},
        "mood": {"anyOf": [{"type": "string"}, {"type": "null"}], "enum": ["calm", None], "default": None},
    }
    assert schemas.named["Leaf"]["properties"]["name"] == {
        "type": "string",
        "minLength": 1,
        "minItems": 1,
        "maxLength": 9,
        "maxItems": 9,
        "description": "what it is called",
    }


def test_two_classes_of_one_name_do_not_meet() -> None:
    @frozen
    class Leaf:
        other: int = 0

    here, schemas = Leaf, Schemas()

    references = [schemas.of(here), schemas.of(Tree)]

    assert references[0] != schemas.named["Tree"]["properties"]["leaves"]["items"]
    assert len(schemas.named) == 3


def test_an_operation_is_documented_with_its_parameters_body_and_keys() -> None:
    route = Route(
        method="PUT",
        path="/trees/{id:path}/{leaf}",
        handler=handler,
        summary="Plant",
        body=Tree,
        answer=Leaf,
        auth="admin",
        streams=True,
    )
    operations = operations_of([(SurfaceSpec(name="s", routes=[route]), FakeContext(FakeServices(), name="trees"))])

    described = document(operations, "1")["paths"]["/trees/{id}/{leaf}"]["put"]

    assert (described["operationId"], described["tags"]) == ("put_trees_by_id_by_leaf", ["trees"])
    assert [parameter["name"] for parameter in described["parameters"]] == ["id", "leaf"]
    assert described["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Tree"}
    assert described["security"] == [{"admin_key": []}]
    assert set(described["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    assert described["responses"]["default"] == {"$ref": "#/components/responses/Error"}


def test_an_operation_id_is_made_of_method_and_path() -> None:
    route = Route(method="GET", path="/openapi.json", handler=handler, summary="x")

    assert operation_id(route) == "get_openapi_json"


async def test_the_document_of_a_whole_server_is_valid() -> None:
    async with serving(surfaces=lmx_surfaces()) as server:
        described = (await server.ask("GET", "/openapi.json")).json()

    OpenAPIV31SpecValidator(described).validate()
    chat = described["components"]["schemas"]["ChatRequest"]
    assert set(chat["required"]) == {"model", "messages"}
    assert chat["properties"]["temperature"]["maximum"] == 2
    assert {"/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/models/{id}"} <= set(described["paths"])


def described(**facts: Any) -> Mapping[str, Any]:
    route = Route(method="POST", path="/trees", handler=handler, summary="x", **facts)
    operations = operations_of([(SurfaceSpec(name="s", routes=[route]), FakeContext(FakeServices(), name="trees"))])
    operation: Mapping[str, Any] = document(operations, "1")["paths"]["/trees"]["post"]
    return operation


def test_query_parameters_are_documented_with_their_ranges() -> None:
    parameters = {parameter["name"]: parameter for parameter in described(query=Tree)["parameters"]}

    assert parameters["height"] == {
        "name": "height",
        "in": "query",
        "required": True,
        "schema": {"type": "number", "minimum": 0, "maximum": 100},
    }
    assert parameters["kind"]["required"] is False


def test_answers_with_other_statuses_are_documented_beside_the_usual_one() -> None:
    both = described(answer=Leaf, answers={202: Leaf | Tree})["responses"]
    alone = described(answers={202: Leaf})["responses"]

    assert set(both) == {"200", "202", "default"}
    assert len(both["202"]["content"]["application/json"]["schema"]["anyOf"]) == 2
    assert set(alone) == {"202", "default"}


def test_a_list_and_a_text_are_documented_as_what_they_are() -> None:
    listed = described(answer=Sequence[Leaf])["responses"]["200"]["content"]
    text = described(content_type="text/plain")["responses"]["200"]["content"]

    assert listed == {"application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Leaf"}}}}
    assert text == {"text/plain": {"schema": {"type": "string"}}}


def test_a_body_is_required_only_where_one_of_its_fields_is() -> None:
    @frozen(kw_only=True)
    class Wish:
        pinned: bool = True

    assert described(body=Wish)["requestBody"]["required"] is False
    assert described(body=Leaf)["requestBody"]["required"] is True


def test_a_route_that_takes_files_is_documented_with_a_form_beside_its_body() -> None:
    several = described(body=Leaf, max_files=3)["requestBody"]["content"]
    alone = described(max_files=1)["requestBody"]

    form = several["multipart/form-data"]["schema"]
    assert set(several) == {"application/json", "multipart/form-data"}
    assert form["properties"]["files"] == {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "maxItems": 3,
    }
    assert form["required"] == ["name"]
    assert alone["content"] == {
        "multipart/form-data": {
            "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
        }
    }

"""The OpenAPI 3.1 document, made from the routes that are mounted."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from lmx.http.bodies import MULTIPART
from lmx.http.errors import KINDS
from lmx.http.operations import PARAMETER, Operation, Socket, openapi_path, path_parameters
from lmx.http.schemas import Schemas, required_names
from lmx_hookspecs import Route

SECURITY_SCHEMES: Mapping[str, Any] = {
    "api_key": {"type": "http", "scheme": "bearer", "description": "one of security.api_keys; needed once any is set"},
    "x_api_key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "the same key, as a header"},
    "admin_key": {"type": "apiKey", "in": "header", "name": "X-Admin-Key", "description": "security.admin_key"},
}
REQUIREMENTS: Mapping[str, list[Mapping[str, list[str]]]] = {
    "open": [],
    "api": [{"api_key": []}, {"x_api_key": []}],
    "admin": [{"admin_key": []}],
    "any_key": [{"api_key": []}, {"x_api_key": []}, {"admin_key": []}],
}
FILE: Mapping[str, Any] = {"type": "string", "format": "binary"}
ERROR: Mapping[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string", "enum": sorted(KINDS)},
            },
        }
    },
}


def document(operations: Sequence[Operation], version: str, sockets: Sequence[Socket] = ()) -> Mapping[str, Any]:
    """The document of these operations; WebSockets, which OpenAPI has no words for, stand under `x-websockets`."""
    described = Document(version).build(operations)
    return {**described, "x-websockets": {socket.route.path: _websocket(socket) for socket in sockets}}


@define
class Document:
    """A document in the making."""

    version: str
    _schemas: Schemas = field(factory=Schemas)

    def build(self, operations: Sequence[Operation]) -> Mapping[str, Any]:
        """The whole of it."""
        paths: dict[str, dict[str, Any]] = {}
        for operation in operations:
            place = paths.setdefault(openapi_path(operation.route.path), {})
            place[operation.route.method.lower()] = self._operation(operation)
        return {
            "openapi": "3.1.0",
            "info": {"title": "LMX", "version": self.version, "license": {"name": "Apache-2.0"}},
            "paths": paths,
            "components": {
                "schemas": {"Error": ERROR, **self._schemas.named},
                "securitySchemes": SECURITY_SCHEMES,
                "responses": {"Error": _response("an error, with X-Request-ID", "application/json", _ref("Error"))},
            },
        }

    def _operation(self, operation: Operation) -> Mapping[str, Any]:
        route = operation.route
        described: dict[str, Any] = {
            "operationId": operation_id(route),
            "summary": route.summary,
            "tags": [operation.owner],
            "security": REQUIREMENTS[route.auth],
            "responses": {**self._answers(route), "default": {"$ref": "#/components/responses/Error"}},
        }
        parameters = [*map(_path_parameter, path_parameters(route.path)), *self._query_parameters(route.query)]
        if parameters:
            described["parameters"] = parameters
        if route.body is not None or route.max_files:
            required = route.body is not None and bool(required_names(route.body))
            described["requestBody"] = {"required": required, "content": self._content(route)}
        return described

    def _content(self, route: Route) -> Mapping[str, Any]:
        content: dict[str, Any] = {}
        if route.body is not None:
            content["application/json"] = {"schema": self._schemas.of(route.body)}
        if route.max_files:
            content[MULTIPART] = {"schema": self._form(route)}
        return content

    def _form(self, route: Route) -> Mapping[str, Any]:
        """What is no text in the body's class is JSON in the form, which is what OpenAPI takes it for as well."""
        texts = {} if route.body is None else self._schemas.properties(route.body)
        files = {"type": "array", "items": FILE, "maxItems": route.max_files}
        several = route.max_files > 1
        form = {"type": "object", "properties": {**texts, **({"files": files} if several else {"file": FILE})}}
        required = [] if route.body is None else required_names(route.body)
        return {**form, "required": required} if required else form

    def _answers(self, route: Route) -> Mapping[str, Any]:
        others = {
            str(status): _response("another answer", "application/json", self._schemas.of(answer))
            for status, answer in route.answers.items()
        }
        return others if others and route.answer is None else {"200": self._answer(route), **others}

    def _answer(self, route: Route) -> Mapping[str, Any]:
        text = {} if route.content_type == "application/json" else {"type": "string"}
        schema = text if route.answer is None else self._schemas.of(route.answer)
        answer = _response("the answer", route.content_type, schema)
        if route.streams:
            answer["content"]["text/event-stream"] = {"schema": {"type": "string"}}
        return answer

    def _query_parameters(self, cls: type | None) -> Sequence[Mapping[str, Any]]:
        if cls is None:
            return []
        required = required_names(cls)
        return [
            {"name": name, "in": "query", "required": name in required, "schema": schema}
            for name, schema in self._schemas.properties(cls).items()
        ]


def _websocket(socket: Socket) -> Mapping[str, Any]:
    return {
        "summary": socket.route.summary,
        "tags": [socket.owner],
        "security": REQUIREMENTS[socket.route.auth],
    }


def operation_id(route: Route) -> str:
    """`POST /v1/chat/completions` → `post_v1_chat_completions`."""
    words = PARAMETER.sub(r"by_\1", route.path).replace(".", "_").replace("-", "_").split("/")
    return "_".join([route.method.lower(), *filter(None, words)])


def _path_parameter(name: str) -> Mapping[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _response(description: str, content_type: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {content_type: {"schema": schema}}}


def _ref(name: str) -> Mapping[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}

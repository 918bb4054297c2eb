"""What a request asks for and nobody here can do: refused by name, or dropped and reported to a lenient client."""

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve

from lmx_hookspecs.context import Context
from lmx_hookspecs.errors import UnsupportedParameter
from lmx_hookspecs.http import Handler, JsonResponse, Request, Response

EMPTY: tuple[Any, ...] = (None, False, 0, "", [], {})
"""Values with which a field, whatever it is, asks for nothing."""


def dropped(names: Iterable[str], *, lenient: bool) -> list[str]:
    """The `warnings` of an answer about what is dropped; raises UnsupportedParameter unless the client is lenient."""
    refused = sorted(names)
    if refused and not lenient:
        raise UnsupportedParameter(
            f"{refused[0]!r} is not supported; leave it out, or send the header X-LMX-Lenient: 1 to have it dropped",
            param=refused[0],
        )
    return [f"{name} was dropped: it is not supported" for name in refused]


def dropped_fields(unknown: Mapping[str, Any], *, lenient: bool) -> list[str]:
    """The same about fields of a body that its class does not know, but for those that ask for nothing."""
    return dropped((name for name, value in unknown.items() if value not in EMPTY), lenient=lenient)


def checked(handler: Handler) -> Handler:
    """The handler of a route with `allow_unknown` whose body's class knows all that has a meaning.

    Other fields are refused, or dropped and listed in `warnings` of the answer, a JSON object, in front of its own.
    """

    async def handle(ctx: Context, request: Request) -> Response:
        warnings = dropped_fields(request.unknown, lenient=request.lenient)
        response = await handler(ctx, request)
        if not warnings or not isinstance(response, JsonResponse):
            return response
        return evolve(response, body={**response.body, "warnings": [*warnings, *response.body.get("warnings", ())]})

    return handle

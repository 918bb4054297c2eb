"""What can be done with a response that is kept: GET, DELETE, cancel, and the items that it was made from."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from lmx_hookspecs import Context, JsonResponse, Request, Response
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.ownership import owner_of
from lmx_responses import NAME
from lmx_responses.create import stream_of
from lmx_responses.desk import Desk
from lmx_responses.items import Item
from lmx_responses.requests import MAX_PAGE, PAGE
from lmx_responses.unknown import INCLUDABLE


@frozen
class Asked:
    """A response of somebody."""

    desk: Desk
    owner: str
    id: str


async def get_response(ctx: Context, request: Request) -> Response:
    """As it is now, or its events."""
    asked, query = _asked(ctx, request), request.query
    _check(query, ("stream", "starting_after", "include_obfuscation"))
    if _flag(query, "include_obfuscation"):
        raise InvalidRequest("include_obfuscation: padding is never added", param="include_obfuscation")
    if _flag(query, "stream"):
        return await _events(ctx, asked, _number(query, "starting_after", -1, 2**53))
    if "starting_after" in query:
        raise InvalidRequest("starting_after needs stream=true", param="starting_after")
    return JsonResponse(body=(await asked.desk.stored(asked.owner, asked.id)).response)


async def delete_response(ctx: Context, request: Request) -> Response:
    """Forget it."""
    asked = _asked(ctx, request)
    await asked.desk.delete(asked.owner, asked.id)
    return JsonResponse(body={"id": asked.id, "object": "response", "deleted": True})


async def cancel_response(ctx: Context, request: Request) -> Response:
    """End one in the background."""
    asked = _asked(ctx, request)
    return JsonResponse(body=await asked.desk.cancel(asked.owner, asked.id))


async def list_input_items(ctx: Context, request: Request) -> Response:
    """What it was made from, the newest first unless asked otherwise."""
    asked, query = _asked(ctx, request), request.query
    _check(query, ("after", "limit", "order"))
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidRequest("order must be asc or desc", param="order")
    items = list((await asked.desk.stored(asked.owner, asked.id)).input)
    if order == "desc":
        items.reverse()
    page = _after(items, query.get("after"))
    limit = _number(query, "limit", PAGE, MAX_PAGE)
    if limit < 1:
        raise InvalidRequest(f"limit must be an integer between 1 and {MAX_PAGE}", param="limit")
    return JsonResponse(body=_listed(page[:limit], has_more=len(page) > limit))


async def _events(ctx: Context, asked: Asked, after: int) -> Response:
    run = asked.desk.run_of(asked.owner, asked.id)
    if run is None or run.feed is None:
        await asked.desk.stored(asked.owner, asked.id)
        raise InvalidRequest(
            "its events are not at hand: only those of responses made with background: true are, for a while; "
            "get the response without stream",
            param="stream",
        )
    return stream_of(ctx, run, after)


def _listed(items: Sequence[Item], *, has_more: bool) -> Mapping[str, Any]:
    return {
        "object": "list",
        "data": list(items),
        "first_id": items[0]["id"] if items else None,
        "last_id": items[-1]["id"] if items else None,
        "has_more": has_more,
    }


def _after(items: list[Item], item_id: str | None) -> list[Item]:
    if item_id is None:
        return items
    for place, item in enumerate(items):
        if item["id"] == item_id:
            return items[place + 1 :]
    raise InvalidRequest(f"after: there is no item {item_id!r} in this list", param="after")


def _asked(ctx: Context, request: Request) -> Asked:
    return Asked(ctx.part(NAME), owner_of(request.key), request.path_params["id"])


def _check(query: Mapping[str, str], known: Sequence[str]) -> None:
    """Raises InvalidRequest for parameters that mean nothing here."""
    for name, value in query.items():
        if name.partition("[")[0] == "include":
            if value not in INCLUDABLE:
                raise InvalidRequest(f"include: {value!r} is nothing that could be included", param="include")
        elif name not in known:
            raise InvalidRequest(f"there is no parameter {name!r}; there are {', '.join(known)}", param=name)


def _flag(query: Mapping[str, str], name: str) -> bool:
    text = query.get(name, "false")
    if text not in ("true", "false"):
        raise InvalidRequest(f"{name} must be true or false", param=name)
    return text == "true"


def _number(query: Mapping[str, str], name: str, default: int, highest: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 16 or int(text) > highest:
        raise InvalidRequest(f"{name} must be an integer between 0 and {highest}", param=name)
    return int(text)

"""The routes of `/admin/sessions`."""

import asyncio
from collections.abc import Sequence
from functools import partial

from attrs import asdict, frozen

from lmx_hookspecs import Context, JsonResponse, Request, Response, Route, option
from lmx_hookspecs.errors import InvalidRequest
from lmx_sessions.reading import Session, SessionSummary, moment
from lmx_sessions.store import SessionStore, select


@frozen(kw_only=True)
class ListQuery:
    """What is listed."""

    limit: int = option(50, "how many at most", ge=1, le=200)
    offset: int = option(0, "how many are passed over first", ge=0)
    model: str | None = option(None, "only those whose model contains this, whatever its case", max_length=1024)
    tag: str | None = option(None, "only those with this tag", max_length=1024)
    since: str | None = option(None, "only those that changed since this ISO 8601 time, in UTC where it does not say")


@frozen(kw_only=True)
class SearchQuery:
    """What is searched for."""

    q: str = option(doc="a part of title, model, id, tag or first message, whatever its case", min_length=1)
    limit: int = option(20, "how many at most", ge=1, le=100)


@frozen(kw_only=True)
class SessionsAnswer:
    """A page of sessions, those that changed last first; `total` counts all that fit."""

    sessions: Sequence[SessionSummary]
    total: int


@frozen(kw_only=True)
class DeletedAnswer:
    """It is gone."""

    deleted: bool = True


async def listing(ctx: Context, request: Request) -> Response:
    """A page of sessions."""
    asked: ListQuery = request.parameters
    since = moment(asked.since) if asked.since else None
    if asked.since and since is None:
        raise InvalidRequest("since must be an ISO 8601 time such as 2026-01-31T12:00:00Z", param="since")
    found = await asyncio.to_thread(_store(ctx).summaries)
    kept = select(found, model=asked.model, tag=asked.tag, since=since)
    page = kept[asked.offset : asked.offset + asked.limit]
    return JsonResponse(body=asdict(SessionsAnswer(sessions=page, total=len(kept))))


async def search(ctx: Context, request: Request) -> Response:
    """Sessions in which a text occurs."""
    asked: SearchQuery = request.parameters
    found = await asyncio.to_thread(_store(ctx).search, asked.q, asked.limit)
    return JsonResponse(body=[asdict(one) for one in found])


async def one(ctx: Context, request: Request) -> Response:
    """A whole session."""
    found = await asyncio.to_thread(_store(ctx).get, request.path_params["id"])
    return JsonResponse(body=asdict(found))


async def delete(ctx: Context, request: Request) -> Response:
    """Delete a session."""
    await asyncio.to_thread(_store(ctx).delete, request.path_params["id"])
    return JsonResponse(body=asdict(DeletedAnswer()))


def _store(ctx: Context) -> SessionStore:
    return SessionStore(ctx.config.directory.expanduser(), ctx.log)


_get = partial(Route, method="GET", auth="admin", shed=False)
_delete = partial(Route, method="DELETE", auth="admin", shed=False)

ROUTES = (
    _get(
        path="/admin/sessions",
        handler=listing,
        summary="Stored sessions, those that changed last first",
        query=ListQuery,
        answer=SessionsAnswer,
    ),
    _get(
        path="/admin/sessions/search",
        handler=search,
        summary="Sessions in which a text occurs",
        query=SearchQuery,
        answer=Sequence[SessionSummary],
    ),
    _get(path="/admin/sessions/{id}", handler=one, summary="A session with its messages", answer=Session),
    _delete(path="/admin/sessions/{id}", handler=delete, summary="Delete a session", answer=DeletedAnswer),
)

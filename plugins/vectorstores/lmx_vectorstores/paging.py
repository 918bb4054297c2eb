"""Pages of rows: the newest first unless asked otherwise, from a cursor on, in either direction."""

# ruff: noqa: S608  what queries are put together from is our own text; values are bound

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import frozen

from lmx_hookspecs.errors import InvalidRequest

Row = Mapping[str, Any]


@frozen(kw_only=True)
class Paging:
    """Which part of a list is wanted."""

    limit: int = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None


@frozen
class Listing:
    """A list as SQL has it: a query that selects `seq` and ends with its conditions, and what a cursor names."""

    query: str
    values: Sequence[Any]
    key: str = "id"


def page(db: sqlite3.Connection, listing: Listing, paging: Paging) -> tuple[list[Row], bool]:
    """Rows, and whether there are more beyond them; raises InvalidRequest for a cursor that is not in the list."""
    backwards = paging.before is not None
    descending = (paging.order == "desc") != backwards
    cursor = paging.before if backwards else paging.after
    query, values = f"SELECT * FROM ({listing.query})", [*listing.values]
    if cursor is not None:
        query += f" WHERE seq {'<' if descending else '>'} ?"
        values.append(_place(db, listing, cursor, "before" if backwards else "after"))
    query += f" ORDER BY seq {'DESC' if descending else 'ASC'} LIMIT ?"
    rows: list[Row] = [dict(row) for row in db.execute(query, [*values, paging.limit + 1])]
    found, has_more = rows[: paging.limit], len(rows) > paging.limit
    return (found[::-1] if backwards else found), has_more


def _place(db: sqlite3.Connection, listing: Listing, cursor: str, field: str) -> int:
    query = f"SELECT seq FROM ({listing.query}) WHERE {listing.key} = ?"
    row = db.execute(query, [*listing.values, cursor]).fetchone()
    if row is None:
        raise InvalidRequest(f"{field}: there is no {cursor!r} in this list", param=field)
    return int(row["seq"])


def listed(objects: Sequence[Mapping[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """The page as it is sent."""
    return {
        "object": "list",
        "data": list(objects),
        "first_id": objects[0]["id"] if objects else None,
        "last_id": objects[-1]["id"] if objects else None,
        "has_more": has_more,
    }

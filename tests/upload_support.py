"""A route that takes files, and what is left of them."""

import asyncio
import stat
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from http_support import serving
from lmx.config.server import Server
from lmx_hookspecs import JsonResponse, Request, Response, Route, option


def entries(folder: Path) -> list[Path]:
    return list(folder.iterdir())


SMALL = Server(shutdown_grace_s=2.0, max_body_bytes=2048, max_upload_bytes=4101)


@frozen(kw_only=True)
class Labels:
    collection: str = option(min_length=1)
    size: int | None = option(None, ge=64)
    tags: Sequence[str] = ()
    metadata: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None = None
    skip: bool = False


@define
class Desk:
    """Answers with what it was given, and remembers where the files were."""

    seen: list[Path] = field(factory=list)
    hold: asyncio.Event | None = None
    reached: asyncio.Event = field(factory=asyncio.Event)

    async def take(self, _: Any, request: Request) -> Response:
        self.seen += [file.path for file in request.files]
        self.reached.set()
        if self.hold is not None:
            await self.hold.wait()
        files = [
            {
                "field": file.field,
                "name": file.name,
                "type": file.media_type,
                "size": file.size_bytes,
                "text": file.path.read_bytes()[:50].decode("latin-1"),
                "mode": stat.S_IMODE(file.path.parent.stat().st_mode),
            }
            for file in request.files
        ]
        body = request.body
        facts = body and {name: getattr(body, name) for name in ("collection", "size", "tags", "metadata", "skip")}
        return JsonResponse(body={"body": facts, "files": files})

    def left(self) -> list[Path]:
        return [path for path in self.seen if path.exists() or path.parent.exists()]


@asynccontextmanager
async def served(folder: Path, server: Server = SMALL, hold: asyncio.Event | None = None, **facts: Any) -> Any:
    desk = Desk(hold=hold)
    route = Route(
        method="POST", path="/up", handler=desk.take, summary="x", **{"body": Labels, "max_files": 2, **facts}
    )
    async with serving(route, server=server, uploads=folder) as running:
        yield running, desk


NAMED = 'Content-Disposition: form-data; name="collection"'


def raw(*lines: str) -> bytes:
    return "\r\n".join(lines).encode("latin-1")

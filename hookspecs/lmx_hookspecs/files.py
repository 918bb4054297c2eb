"""Files as answers: read in threads, a piece at a time, so that the event loop never waits for a disk."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from attrs import define

from lmx_hookspecs.http import StreamResponse

PIECE_BYTES = 2**18


@define(eq=False)
class FileChunks:
    """The bytes of a file, for a StreamResponse; with `temporary` it is deleted when the answer ends, however it ends.

    Opened when the first piece is asked for; raises OSError where it cannot be read.
    """

    path: Path
    temporary: bool = False
    _file: BinaryIO | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await asyncio.to_thread(self._read)
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Close it, and delete it if it is temporary."""
        if self._file is not None:
            self._file.close()
        if self.temporary:
            with suppress(OSError):
                self.path.unlink()

    def _read(self) -> bytes:
        if self._file is None:
            self._file = self.path.open("rb")
        return self._file.read(PIECE_BYTES)


async def file_response(
    path: Path, *, name: str, content_type: str = "application/octet-stream", temporary: bool = False
) -> StreamResponse:
    """The file as a download that is called `name`; raises OSError before anything is sent where it is not there."""
    size = (await asyncio.to_thread(path.stat)).st_size
    headers = {
        "Content-Length": str(size),
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
    }
    return StreamResponse(chunks=FileChunks(path, temporary), content_type=content_type, headers=headers)

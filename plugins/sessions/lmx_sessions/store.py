"""The folder of sessions: `<id>.json` each, and perhaps `index.json` with a summary of them. Everything here blocks."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from math import isinf
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from attrs import frozen

from lmx_hookspecs import Logger
from lmx_hookspecs.errors import Conflict, NotFound
from lmx_sessions.reading import Session, SessionSummary, first_user_text, moment, session, summary

SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")
INDEX = "index"
"""The one name that is no session's."""
MAX_FILE_BYTES = 64 * 2**20
"""A file beyond this is no session that anybody typed."""
DEEPEST = 200
"""Levels of a file: of messages, tool calls and their arguments."""


@frozen
class SessionStore:
    """Reads what another program writes: a file that cannot be read is logged and passed over."""

    directory: Path
    log: Logger

    def summaries(self) -> list[SessionSummary]:
        """All sessions, those that changed last first."""
        entries = _entries(self._index())
        found = [self._summary(path, entries.get(path.stem)) for path in self._files()]
        return sorted(filter(None, found), key=_age, reverse=True)

    def get(self, session_id: str) -> Session:
        """One session; raises NotFound."""
        data = self._read(self._path(session_id))
        if data is None:
            raise _not_found(session_id)
        return session(session_id, data)

    def search(self, wanted: str, limit: int) -> list[SessionSummary]:
        """Sessions with that text in title, model, id or tags; then those that begin with it; whatever its case."""
        needle, summaries = wanted.casefold(), self.summaries()
        hits = [found for found in summaries if needle in _headline(found).casefold()]
        for other in summaries:
            if len(hits) >= limit:
                break
            if other not in hits and needle in self._beginning(other.id).casefold():
                hits.append(other)
        return hits[:limit]

    def delete(self, session_id: str) -> None:
        """Delete its entry in the index, then the file, which is listed without it; raises NotFound, Conflict."""
        path = self._path(session_id)
        try:
            index = self._index()
            if _entries(index).pop(session_id, None) is not None:
                _write(self.directory / f"{INDEX}.json", index)
            path.unlink()
        except FileNotFoundError:  # somebody else was faster
            raise _not_found(session_id) from None
        except OSError as error:
            raise Conflict(
                f"session {session_id!r} could not be deleted: {error}; check who owns its folder", param="id"
            ) from error

    def _path(self, session_id: str) -> Path:
        """The session's file; raises NotFound for an impossible id, and for a link that leads out of the folder."""
        if SESSION_ID.fullmatch(session_id) and session_id != INDEX:
            path = self.directory / f"{session_id}.json"
            if self._is_inside(path):
                return path
        raise _not_found(session_id)

    def _files(self) -> Iterator[Path]:
        try:
            found = sorted(self.directory.glob("*.json"))
        except OSError as error:
            self._skipped(self.directory, str(error))
            return
        for path in found:
            if SESSION_ID.fullmatch(path.stem) and path.stem != INDEX and self._is_inside(path):
                yield path

    def _is_inside(self, path: Path) -> bool:
        try:
            return path.is_file() and path.resolve().is_relative_to(self.directory.resolve())
        except OSError:  # a folder on the way that may not be entered, a loop of links
            return False

    def _summary(self, path: Path, entry: Any) -> SessionSummary | None:
        complete = isinstance(entry, dict) and type(entry.get("messageCount")) is int
        data = entry if complete else self._read(path)
        return None if data is None else summary(path.stem, data)

    def _beginning(self, session_id: str) -> str:
        data = self._read(self.directory / f"{session_id}.json")
        return first_user_text(data) if data is not None else ""

    def _index(self) -> dict[str, Any]:
        path = self.directory / f"{INDEX}.json"
        return (self._read(path) if self._is_inside(path) else None) or {}

    def _read(self, path: Path) -> dict[str, Any] | None:
        """The JSON object in a file; None, with a line in the log, where there is none."""
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise ValueError(f"it is larger than {MAX_FILE_BYTES} bytes")
            data = json.loads(path.read_text("utf-8"), parse_constant=_no_number, parse_float=_finite)
            _check_depth(data)
        except (OSError, ValueError, RecursionError) as error:
            self._skipped(path, str(error))
            return None
        if not isinstance(data, dict):
            self._skipped(path, "it holds no JSON object")
            return None
        return data

    def _skipped(self, path: Path, reason: str) -> None:
        self.log.warning("session_skipped", path=str(path), reason=reason)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    """What could be written again: 1e999 is valid JSON, and infinite in Python."""
    if isinf(value := float(text)):
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def _check_depth(data: Any) -> None:
    """Refuse what Python reads, and could not write again."""
    level = [data]
    for _ in range(DEEPEST):
        inner = [node.values() if isinstance(node, dict) else node for node in level if isinstance(node, dict | list)]
        level = [child for children in inner for child in children]
    if level:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels")


def _entries(index: dict[str, Any]) -> dict[str, Any]:
    """The entries by id: under `entries`, or the whole index."""
    entries = index.get("entries", index)
    return entries if isinstance(entries, dict) else {}


def _age(found: SessionSummary) -> float:
    changed = moment(found.updated or found.created)
    return changed.timestamp() if changed else 0.0


def _headline(found: SessionSummary) -> str:
    return "\n".join([found.title, found.model, found.id, *found.tags])


def _not_found(session_id: str) -> NotFound:
    return NotFound(
        f"there is no session {session_id[:200]!r}; GET /admin/sessions lists them",
        code="session_not_found",
        param="id",
    )


def _write(path: Path, data: Mapping[str, Any]) -> None:
    """Beside it first, then in its place: whoever reads it meanwhile finds the old or the new one, whole."""
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8") as file:
        beside = Path(file.name)
        try:
            json.dump(data, file, indent=2)  # as ASCII: half a surrogate pair, which JSON may hold, is no UTF-8
            file.flush()
            beside.chmod(path.stat().st_mode & 0o777)
            beside.replace(path)
        except BaseException:
            with suppress(FileNotFoundError):
                beside.unlink()
            raise


def select(
    found: Sequence[SessionSummary], *, model: str | None, tag: str | None, since: datetime | None
) -> list[SessionSummary]:
    """Those whose model contains the text, that have the tag, and that changed at or after the moment."""
    return [
        one
        for one in found
        if (not model or model.casefold() in one.model.casefold())
        and (not tag or tag in one.tags)
        and (since is None or _age(one) >= since.timestamp())
    ]

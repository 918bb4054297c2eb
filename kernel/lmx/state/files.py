"""Where the state lies, and how others than its server look at it."""

import os
from pathlib import Path

from lmx.state.document import BadState, Document, decode
from lmx.state.safe_mode import is_safe_mode, with_unclean_start

STATE = "state.json"
LOCK = "state.lock"


def recorded(folder: Path) -> Document | None:
    """The state in that folder, None where there is none; raises BadState."""
    try:
        raw = (folder / STATE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BadState(f"cannot be read: {error.strerror}") from None
    return decode(raw)


def running_server(folder: Path) -> str | None:
    """URL of the server that keeps its state in that folder, while it runs."""
    try:
        document = recorded(folder)
    except BadState:
        return None
    return document.url if document is not None and is_running(document) else None


def is_running(document: Document) -> bool:
    """Whether the run that it tells of still goes on."""
    if document.clean or document.pid <= 0:
        return False
    try:
        os.kill(document.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's, and alive
        return True
    return True


def next_start_is_safe_mode(document: Document, now: float) -> bool:
    """Whether a start now, after that run, would be one in safe mode."""
    return not document.clean and is_safe_mode(with_unclean_start(document.unclean_starts, now))

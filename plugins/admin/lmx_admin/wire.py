"""How values are written in answers, and how errors are named in them."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

from attrs import asdict

from lmx_hookspecs import JsonResponse, LmxError

SIZE_UNITS = ("B", "KB", "MB", "GB", "TB")


def reply(answer: Any, status: int = 200) -> JsonResponse:
    """An answer class as JSON."""
    return JsonResponse(body=asdict(answer), status=status)


def gb(size_bytes: float) -> float:
    """In 10^9 bytes."""
    return round(size_bytes / 1e9, 3)


def human_size(size_bytes: float) -> str:
    """`1536` → `1.5 KB`, in steps of 1,024; `unknown` where nothing is known."""
    if size_bytes <= 0:
        return "unknown"
    for unit in SIZE_UNITS[:-1]:
        if size_bytes < 1024:
            return f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} {SIZE_UNITS[-1]}"


@contextmanager
def named_in_error(name: str) -> Iterator[None]:
    """Inside, an error at the field `model` is one at the field `name`: what these routes call it."""
    try:
        yield
    except LmxError as error:
        if error.param != "model":
            raise
        renamed = copy(error)  # everybody who waits for one load is given the same error
        renamed.param = name
        raise renamed from error

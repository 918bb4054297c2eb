"""How values are written in answers, and how errors are named in them."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
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


def named_in_error(name: str) -> AbstractContextManager[None]:
    """Inside, an error at the field `model` is one at the field `name`: what these routes call it."""
    return renamed_in_error({"model": name})


@contextmanager
def renamed_in_error(names: Mapping[str, str]) -> Iterator[None]:
    """Inside, an error at one of these fields is one at the field that it is mapped to."""
    try:
        yield
    except LmxError as error:
        if error.param is None or error.param not in names:
            raise
        renamed = copy(error)  # everybody who waits for one load is given the same error
        renamed.param = names[error.param]
        raise renamed from error

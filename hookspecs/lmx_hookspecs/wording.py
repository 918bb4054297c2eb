"""Errors in the words of a surface, whose clients know the fields of a generation by other names."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy

from lmx_hookspecs.errors import LmxError


@contextmanager
def own_words(names: Mapping[str, str]) -> Iterator[None]:
    """What is raised within names fields as the surface does; `names` are its own, by those of the contract."""
    try:
        yield
    except LmxError as error:
        raise reworded(error, names) from error


def in_own_words(names: Mapping[str, str], wait: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """The same wait, what it raises in the words of a surface: for the `opening` of a stream."""

    async def waited() -> None:
        with own_words(names):
            await wait()

    return waited


def reworded(error: LmxError, names: Mapping[str, str]) -> LmxError:
    """The same error. A name without an underscore or a dot is a word like others, so messages keep it."""
    told = copy(error)
    told.message = _replaced(error.message, names)
    told.args = (told.message,)
    if error.param is not None:
        told.param = names.get(error.param) or _replaced(error.param, names)
    return told


def _replaced(text: str, names: Mapping[str, str]) -> str:
    for ours, theirs in names.items():
        if "_" in ours or "." in ours:
            text = text.replace(ours, theirs)
    return text

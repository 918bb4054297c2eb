"""What is thrown where an index cannot be read, and what Tantivy throws."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lmx_hookspecs.errors import EngineFailed, InsufficientStorage


class DamagedIndexError(Exception):
    """Its files are damaged; they can be made again from the database, and are."""


@contextmanager
def failing_as_ours(what: str, forget: Callable[[bool], None]) -> Iterator[None]:
    """Turn the errors of an index library into ours, and have the index opened or made anew the next time.

    `forget` is told whether its files are still good. Tantivy's panics are no Exceptions, and a writer that has met an
    error takes no more.
    """
    try:
        yield
    except BaseException as error:
        if not isinstance(error, ValueError | OSError | RuntimeError) and type(error).__name__ != "PanicException":
            raise
        full = "No space left" in str(error)
        forget(full)
        if full:
            raise InsufficientStorage(f"{what} cannot grow: {error}; make room on its disk") from error
        raise EngineFailed(f"{what} failed: {error}; it is made anew with the next request") from error

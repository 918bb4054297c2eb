"""The progress bar of a download, on standard error."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn


@contextmanager
def bar() -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that is shown each answer of `GET /admin/models/download/{id}/progress`."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=None)

        def show(answer: Mapping[str, Any]) -> None:
            files = f"{answer['files_completed']}/{answer['files_total']} files"
            progress.update(
                task,
                description=files,
                completed=answer["downloaded_bytes"],
                total=answer["total_bytes"] or None,
            )

        yield show

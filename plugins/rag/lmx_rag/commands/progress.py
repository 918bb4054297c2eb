"""How an ingest shows what it does: a bar on a terminal, lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lmx_hookspecs import CommandOutput
from lmx_rag.commands.uploads import Outcome

Show = Callable[[Outcome], None]


@contextmanager
def bar(total: int) -> Iterator[Show]:
    """A progress bar on standard error."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total)
        yield lambda outcome: progress.update(
            task, advance=1, description=escape(outcome.file.shown.rpartition("/")[2])
        )


@contextmanager
def lines(output: CommandOutput, *, quiet: bool) -> Iterator[Show]:
    """A line for each file that was ingested; nothing where only the result is wanted."""

    def show(outcome: Outcome) -> None:
        if outcome.state == "ingested" and not quiet:
            output.write(f"{outcome.file.shown}: {outcome.chunks} chunks")

    yield show

"""Plugin `rag`."""

from collections.abc import Sequence

from lmx_hookspecs import Command, CommandSpec, hookimpl


def _command() -> Command:
    from lmx_rag.commands.rag import RagCommand

    return RagCommand()


@hookimpl
def lmx_commands() -> Sequence[CommandSpec]:
    """`lmx rag`."""
    return [CommandSpec(name="rag", help="store documents, search them, and measure how well", factory=_command)]

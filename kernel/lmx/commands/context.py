"""What a command gets beside its arguments: the configuration in force, read when it is first asked for."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from lmx.commands import output
from lmx_hookspecs import CommandContext, CommandOutput, CommandSpec, ServerClient

if TYPE_CHECKING:  # reading YAML is slow to import, and most commands do not need it
    from lmx.assembly import Assembly


@frozen
class QuietLog:
    """The `logging` section of commands other than `serve`: their standard output is for what was asked."""

    level: str = "WARNING"
    format: str = "text"
    file: Path | None = None


@define(kw_only=True)
class Context:
    """The CommandContext of this process."""

    config_dir: Path | None = None
    _assembly: "Assembly | None" = field(default=None, init=False)

    def config(self, section: str) -> Any:
        """A top-level section, or `plugins.<name>`; raises ConfigError with every problem."""
        config = self.assembly().config
        plugin = section.removeprefix("plugins.")
        return config.section(section) if plugin == section else config.plugin(plugin)

    @property
    def output(self) -> CommandOutput:
        """Standard output and standard error."""
        return output

    def server(self, url: str | None = None) -> ServerClient:
        """The server at `url`, else the configured one."""
        from lmx.commands.client import server_at

        return server_at(self, url)

    def assembly(self) -> "Assembly":
        """The validated configuration and the plugins; assembled once."""
        if self._assembly is None:
            from lmx import log
            from lmx.assembly import assemble

            log.configure(QuietLog())
            self._assembly = assemble(self.config_dir)
        return self._assembly

    def plugin_commands(self) -> Mapping[str, CommandSpec]:
        """Commands that active plugins offer; raises ConfigError."""
        return {offer.spec.name: offer.spec for offer in self.assembly().registry.specs("lmx_commands")}


def assembly_of(context: CommandContext) -> "Assembly":
    """Configuration and plugins for a built-in command, which needs more than the contract offers to all."""
    if isinstance(context, Context):
        return context.assembly()
    from lmx.assembly import assemble

    return assemble(context.config_dir)

"""The built-in commands: one line each, imported only when used."""

from collections.abc import Mapping
from functools import partial
from importlib import import_module

from lmx_hookspecs import Command, CommandSpec


def _create(target: str) -> Command:
    module, _, cls = target.partition(":")
    command: Command = getattr(import_module(module), cls)()
    return command


_TABLE = (
    ("serve", "start the server", "lmx.commands.serve:Serve"),
    ("chat", "talk to a model", "lmx.commands.chat:Chat"),
    ("models", "list, load and unload models", "lmx.commands.models:Models"),
    ("plugins", "list, check and create plugins", "lmx.commands.plugins:Plugins"),
    ("config", "show, check and import configuration", "lmx.commands.config:ConfigCommand"),
    ("doctor", "check this machine, and say what to do", "lmx.commands.doctor:Doctor"),
    ("version", "print the version, and the engines that are installed", "lmx.commands.version:Version"),
)

BUILT_IN: Mapping[str, CommandSpec] = {
    name: CommandSpec(name=name, help=meaning, factory=partial(_create, target)) for name, meaning, target in _TABLE
}

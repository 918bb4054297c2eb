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
    ("pull", "download a model", "lmx.commands.pull:Pull"),
    ("models", "list models, and show what is known of one", "lmx.commands.models:Models"),
    ("ps", "show the loaded models and their memory", "lmx.commands.ps:Ps"),
    ("load", "load a model into the running server", "lmx.commands.loading:Load"),
    ("unload", "give a model's memory back", "lmx.commands.loading:Unload"),
    ("pin", "keep a loaded model in memory", "lmx.commands.loading:Pin"),
    ("rm", "delete a model's files", "lmx.commands.rm:Rm"),
    ("status", "show a running server at a glance", "lmx.commands.status:Status"),
    ("events", "follow what happens in a running server", "lmx.commands.events:Events"),
    ("keys", "create, list and revoke API keys", "lmx.commands.keys:Keys"),
    ("plugins", "list, check and create plugins", "lmx.commands.plugins:Plugins"),
    ("config", "show, check, reload and import configuration", "lmx.commands.config:ConfigCommand"),
    ("service", "run the server in the background, from login on", "lmx.commands.service:Service"),
    ("doctor", "check this machine, and say what to do", "lmx.commands.doctor:Doctor"),
    ("version", "print the version, and the engines that are installed", "lmx.commands.version:Version"),
)

BUILT_IN: Mapping[str, CommandSpec] = {
    name: CommandSpec(name=name, help=meaning, factory=partial(_create, target)) for name, meaning, target in _TABLE
}

"""The command `lmx`: finds the subcommand, runs it, and turns what it raises into an exit status."""

import os
import sys
from argparse import REMAINDER, SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from lmx import __version__
from lmx.commands import BUILT_IN
from lmx.commands.context import Context
from lmx.commands.output import OutputFailed, flush, silence, warn
from lmx_hookspecs import CommandSpec, LmxError
from lmx_hookspecs.errors import ConfigError

FAILED = 1
USAGE = 2
INTERRUPTED = 130
BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 refused, 2 usage, 130 interrupted."""
    _open_closed_streams()
    try:
        return _flushed(sys.argv[1:] if argv is None else argv)
    except OutputFailed as error:
        silence()
        warn(error.message)
        return FAILED
    except LmxError as error:
        warn(error.message)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        silence()
        return BROKEN_PIPE


def _open_closed_streams() -> None:
    """Open those standard streams that whoever started us had closed, for which Python has None."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115  open as long as the process
            os.set_inheritable(stream.fileno(), True)  # it has taken the number of the closed one
            setattr(sys, name, stream)


def _flushed(argv: Sequence[str]) -> int:
    """Run the command and see its output out, also where argparse ends it."""
    try:
        return _dispatch(argv)
    finally:
        flush()


def _dispatch(argv: Sequence[str]) -> int:
    parser = _parser()
    options = parser.parse_args(_config_dir_first(argv))
    context = Context(config_dir=options.config_dir)
    if options.help or not options.words:
        parser.epilog = _list({**_offered(context), **BUILT_IN})
        parser.print_help()
        return 0
    name, *words = options.words
    commands = BUILT_IN if name in BUILT_IN else {**_offered(context), **BUILT_IN}
    if name not in commands:
        warn(_unknown(name, commands))
        return USAGE
    return _run(commands[name], words, context)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="lmx",
        usage="lmx [--config-dir DIR] COMMAND ...",
        description="A private AI inference server: `lmx serve` starts it, `lmx chat` talks to it.",
        formatter_class=RawDescriptionHelpFormatter,
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("-h", "--help", action="store_true", help="show this help and exit")
    parser.add_argument("--version", action="version", version=f"lmx {__version__}", help="show the version and exit")
    _add_config_dir(parser, default=None)
    parser.add_argument("words", nargs=REMAINDER, help=SUPPRESS)
    return parser


def _add_config_dir(parser: ArgumentParser, default: str | None) -> None:
    text = "read this folder of YAML files, not the usual ones"
    parser.add_argument("--config-dir", metavar="DIR", type=Path, default=default, help=text)


def _run(spec: CommandSpec, words: Sequence[str], context: Context) -> int:
    command = spec.factory()
    parser = ArgumentParser(prog=f"lmx {spec.name}", description=spec.help, conflict_handler="resolve")
    _add_config_dir(parser, default=SUPPRESS)  # for its help: `_config_dir_first` has taken it out of the words
    command.configure(parser)
    return command.run(parser.parse_args(words), context)


def _config_dir_first(argv: Sequence[str]) -> list[str]:
    """The words with `--config-dir`, which may stand anywhere, in front; behind `--` they are left alone."""
    words = list(argv)
    end = words.index("--") if "--" in words else len(words)
    for place, word in enumerate(words[:end]):
        if word.startswith("--config-dir="):
            return [words.pop(place), *words]
        if word == "--config-dir" and place + 1 < end:
            flag = [words.pop(place), words.pop(place)]
            return [*flag, *words]
    return words


def _offered(context: Context) -> Mapping[str, CommandSpec]:
    """Commands of plugins; a broken configuration must not take `lmx --help` away."""
    try:
        return context.plugin_commands()
    except ConfigError:
        warn("commands of plugins are missing: the configuration cannot be read; `lmx config check` says why")
        return {}


def _list(commands: Mapping[str, CommandSpec]) -> str:
    width = max(len(name) for name in commands)
    order = [*BUILT_IN, *sorted(commands.keys() - BUILT_IN.keys())]
    lines = [f"  {name.ljust(width)}  {commands[name].help}" for name in order]
    return "\n".join(["commands:", *lines, "", "`lmx COMMAND --help` tells more of each."])


def _unknown(name: str, commands: Mapping[str, CommandSpec]) -> str:
    close = get_close_matches(name, commands, n=1)
    hint = f"did you mean `lmx {close[0]}`?" if close else "`lmx --help` lists what there is"
    return f"there is no command {name!r}; {hint}"

"""`lmx version`."""

import platform
from argparse import ArgumentParser, Namespace
from importlib import metadata
from typing import Any

from lmx import __version__
from lmx.commands.output import write, write_json
from lmx_hookspecs import CommandContext

ENGINES = ("mlx", "mlx-lm", "llama-cpp-python", "vllm-mlx")


class Version:
    """Prints what is installed."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--json", action="store_true", help="print JSON")

    def run(self, args: Namespace, context: CommandContext) -> int:  # noqa: ARG002  the contract's signature
        """Print the version and the engines."""
        facts = _facts()
        if args.json:
            write_json(facts)
            return 0
        write(f"lmx {facts['version']}")
        write(f"python {facts['python']} on {facts['platform']}")
        for name, version in facts["engines"].items():
            write(f"{name} {version or 'not installed'}")
        return 0


def _facts() -> dict[str, Any]:
    return {
        "version": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "engines": {name: installed_version(name) for name in ENGINES},
    }


def installed_version(distribution: str) -> str | None:
    """The version of an installed distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None

"""`lmx serve`: the server in the foreground."""

import asyncio
import signal
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from lmx import __version__
from lmx.assembly import Assembly, assemble
from lmx.config import Flag
from lmx.plugins import Status
from lmx_hookspecs import CommandContext
from lmx_hookspecs.errors import ConfigError

if TYPE_CHECKING:
    from lmx.kernel import Kernel


class Serve:
    """Start the server."""

    def configure(self, parser: ArgumentParser) -> None:
        """Flags win over the environment and the files."""
        parser.add_argument("--host", help="address to listen on (server.host)")
        parser.add_argument("--port", type=int, help="port to listen on, 0 for any free one (server.port)")
        parser.add_argument("--log-level", choices=["DEBUG", "INFO", "WARNING", "ERROR"], help="(logging.level)")
        parser.add_argument("--model", help="default model; loaded at start (models.default_model, models.auto_load)")
        parser.add_argument(
            "--insecure", action="store_true", help="allow an address beyond this machine without any keys"
        )

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Serve until SIGTERM or SIGINT."""
        assembly = assemble(context.config_dir, flags_of(args))
        refuse_open_door(assembly.config, insecure=args.insecure)
        from lmx import log

        log.configure(assembly.config.section("logging"))
        asyncio.run(serve(assembly))
        return 0


def flags_of(args: Namespace) -> dict[str, Flag]:
    """The flags that were given, as configuration keys."""
    flags = {
        "server.host": Flag("--host", args.host),
        "server.port": Flag("--port", args.port),
        "logging.level": Flag("--log-level", args.log_level),
        "models.default_model": Flag("--model", args.model),
        "models.auto_load": Flag("--model", [args.model] if args.model else None),
    }
    return {key: flag for key, flag in flags.items() if flag.value is not None}


def refuse_open_door(config: Any, *, insecure: bool) -> None:
    """Beyond loopback both keys are required: raises ConfigError unless `--insecure`."""
    host, security = config.section("server").host, config.section("security")
    from lmx.http.security import is_loopback

    if insecure or is_loopback(host) or (security.api_keys and security.admin_key):
        return
    raise ConfigError(
        f"server.host is {host}, which others can reach, but "
        f"{'security.admin_key' if security.api_keys else 'security.api_keys'} is not set; "
        "set both security.api_keys and security.admin_key, or pass --insecure"
    )


async def serve(assembly: Assembly) -> None:
    """Run the kernel behind its socket until a signal asks it to end."""
    from lmx.http import server
    from lmx.http.streaming import OpenRequests
    from lmx.kernel import Kernel

    settings = assembly.config.section("server")
    listener = server.bind(settings.host, settings.port)
    kernel = Kernel(assembly.config, assembly.registry)
    open_requests = OpenRequests()
    shutdown = _shutdown_signal()
    await kernel.start()
    try:
        _announce(kernel, server.url_of(listener))
        app = kernel.app(open_requests)
        await server.serve(app, listener, server=settings, open_requests=open_requests, shutdown=shutdown)
    finally:
        await kernel.stop()


def _shutdown_signal() -> asyncio.Event:
    shutdown = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, shutdown.set)
    return shutdown


def _announce(kernel: "Kernel", url: str) -> None:
    for record in kernel.registry.records:
        if record.status is Status.FAILED:
            kernel.log.error("plugin_failed", plugin=record.name, reason=record.reason, advice=record.advice)
    if not kernel.registry.specs("lmx_backends"):
        hints = {record.name: record.advice for record in kernel.registry.records if record.status is Status.IDLE}
        kernel.log.warning("no_engine", advice="install an extra with an engine, such as opta-lmx[mlx]", **hints)
    kernel.log.info("listening", url=url, version=__version__, api=f"{url}/v1")

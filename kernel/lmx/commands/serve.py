"""`lmx serve`: the server in the foreground."""

import asyncio
import signal
from argparse import ArgumentParser, Namespace
from typing import Any

from lmx.assembly import Assembly, assemble
from lmx_hookspecs import CommandContext
from lmx_hookspecs.errors import ConfigError

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


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


def flags_of(args: Namespace) -> dict[str, Any]:
    """The flags that were given, as configuration keys."""
    flags = {
        "server.host": args.host,
        "server.port": args.port,
        "logging.level": args.log_level,
        "models.default_model": args.model,
        "models.auto_load": [args.model] if args.model else None,
    }
    return {key: value for key, value in flags.items() if value is not None}


def refuse_open_door(config: Any, *, insecure: bool) -> None:
    """Beyond loopback both keys are required: raises ConfigError unless `--insecure`."""
    host, security = config.section("server").host, config.section("security")
    if insecure or host in LOOPBACK or (security.api_keys and security.admin_key):
        return
    raise ConfigError(
        f"server.host is {host}, which others can reach, but "
        f"{'security.admin_key' if security.api_keys else 'security.api_keys'} is not set; "
        "set both security.api_keys and security.admin_key, or pass --insecure"
    )


async def serve(assembly: Assembly) -> None:
    """Run the kernel behind its socket until a signal asks it to end."""
    from lmx.http import make_app
    from lmx.http.server import run_server
    from lmx.kernel import Kernel

    kernel = Kernel(assembly.config, assembly.registry)
    shutdown = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, shutdown.set)
    for record in assembly.registry.records:
        if record.status == "failed":
            kernel.log.error("plugin_failed", plugin=record.name, reason=record.reason)
    await kernel.start()
    try:
        await run_server(make_app(kernel), assembly.config.section("server"), shutdown)
    finally:
        await kernel.stop()

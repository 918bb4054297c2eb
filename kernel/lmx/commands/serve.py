"""`lmx serve`: the server in the foreground."""

import asyncio
import gc
import os
import resource
import signal
import sys
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from lmx import __version__, huge_pages, time_slices
from lmx.assembly import Assembly, assemble
from lmx.config import Flag, passed_over
from lmx.plugins import Status
from lmx_hookspecs import CommandContext, LmxError, Logger, ReloadReport
from lmx_hookspecs.errors import ConfigError
from lmx_hookspecs.places import home

if TYPE_CHECKING:
    from lmx.http.streaming import OpenRequests
    from lmx.kernel import Kernel


DESCRIPTORS = 65_536
YOUNG_OBJECTS = 20_000
"""After so many Python looks for circles. After 700, as it would by itself, every third request waits for that."""
WORKER_RESERVE_S = 3.0
"""The most that workers get of the grace once the answers have ended."""
OVERTIME_S = 1.0
FORCED = 1
"""Exit status of an end that had to be forced."""


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
        parser.add_argument(
            "--ephemeral", action="store_true", help="keep no runtime state, and use no keys but those configured"
        )
        parser.add_argument("--no-load", action="store_true", help="load nothing at start, only what is asked for")

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Serve until SIGTERM or SIGINT."""
        huge_pages.lay_out()
        folder = None if args.ephemeral else home()
        accept = partial(refuse_open_door, insecure=args.insecure, folder=folder)
        assembly = assemble(context.config_dir, flags_of(args), accept)
        from lmx import log

        log.configure(assembly.config.section("logging"))
        raise_descriptor_limit()
        asyncio.run(serve(assembly, folder, loads_at_start=not args.no_load))
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


def refuse_open_door(config: Any, *, insecure: bool, folder: Path | None) -> None:
    """Beyond loopback both kinds of keys are required: raises ConfigError unless `--insecure`.

    Those of the key file in `folder` count as well.
    """
    from lmx.http.security import is_loopback

    host = config.section("server").host
    if insecure or is_loopback(host):
        return
    has_api_key, has_admin_key = _keys_there_are(config.section("security"), folder)
    if not (has_api_key and has_admin_key):
        raise ConfigError(
            f"server.host is {host}, which others can reach, but "
            f"{'security.admin_key' if has_api_key else 'security.api_keys'} is not set; "
            "set both security.api_keys and security.admin_key, or make keys with `lmx keys create NAME` and "
            "`lmx keys create NAME --admin`, or pass --insecure"
        )


def _keys_there_are(security: Any, folder: Path | None) -> tuple[bool, bool]:
    """Whether /v1 and /admin have a key, in the configuration or among those that `lmx keys` made."""
    from lmx.keys import FILE, KeyStore

    stored = () if folder is None else KeyStore(folder / FILE).read()
    in_file = {key.admin for key in stored}
    return bool(security.api_keys) or False in in_file, security.admin_key is not None or True in in_file


def raise_descriptor_limit() -> None:
    """Every connection takes a descriptor, and some systems allow 256 unless asked for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def serve(assembly: Assembly, folder: Path | None, *, loads_at_start: bool = True) -> None:
    """Run the kernel behind its socket until a signal asks it to end; then end within `server.shutdown_grace_s`.

    State and keys are kept in `folder`; None keeps neither. Without `loads_at_start` models are loaded on request only.
    """
    from lmx.http import server
    from lmx.http.streaming import OpenRequests
    from lmx.kernel import Kernel

    settings = assembly.config.section("server")
    listener = server.bind(settings.host, settings.port)
    kernel = Kernel(assembly.config, assembly.registry, assembly.sources, folder, loads_at_start)
    open_requests = OpenRequests()
    ending = Ending(settings.shutdown_grace_s, open_requests, kernel.log)
    ending.listen()
    Hangup(kernel.reload, ending, kernel.log, on_terminal=sys.stderr.isatty()).listen()
    app = kernel.app(open_requests)
    await kernel.start()
    try:
        kernel.state.update(url=server.url_of(listener))
        settle(kernel.log)
        _announce(kernel, server.url_of(listener))
        answers = evolve(settings, shutdown_grace_s=ending.grace_s - ending.reserve_s)
        await server.serve(app, listener, server=answers, open_requests=open_requests, shutdown=ending.asked)
    finally:
        await kernel.stop(ending.left_s())
        kernel.log.info("stopped")


def settle(log: Logger) -> None:
    """Make a process that has built what it needs quick to answer, also while engines compute beside it."""
    gc.collect()
    gc.freeze()  # what lives as long as the process need not be looked through again and again
    gc.set_threshold(YOUNG_OBJECTS)
    log.debug("settled", short_slices=time_slices.shorten(), huge_pages=huge_pages.collapse())


@define(eq=False)
class Ending:
    """The end of the process: asked for by a signal, and forced where something does not let go."""

    grace_s: float
    open_requests: "OpenRequests"
    log: Logger
    asked: asyncio.Event = field(factory=asyncio.Event)
    _deadline: float | None = None

    @property
    def reserve_s(self) -> float:
        """The part of the grace that is kept for stopping workers once the answers have ended."""
        return min(WORKER_RESERVE_S, self.grace_s / 4)

    def listen(self) -> None:
        """Begin to end at SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.begin)

    def left_s(self) -> float:
        """Seconds that workers get to end."""
        left_s = self.grace_s if self._deadline is None else self._deadline - monotonic()
        return max(0.0, min(self.reserve_s, left_s))

    def begin(self) -> None:
        """Refuse what is new and wait for what runs; the second time, end at once."""
        if self.asked.is_set():
            self.log.warning("stopping_at_once", reason="asked for a second time")
            os._exit(FORCED)
        self.asked.set()
        advice = "a second signal ends at once"
        self.log.info("stopping", open_requests=len(self.open_requests), grace_s=self.grace_s, advice=advice)
        self._deadline = monotonic() + self.grace_s
        # A thread that hangs in a dead network folder cannot be ended: nothing but the exit of the process does.
        forced = threading.Timer(self.grace_s + OVERTIME_S, os._exit, (FORCED,))
        forced.daemon = True
        forced.start()


@define(eq=False)
class Hangup:
    """SIGHUP: reload the configuration, or end where it means that the server's own terminal is gone."""

    reload: Callable[[], Awaitable[ReloadReport]]
    ending: Ending
    log: Logger
    on_terminal: bool
    """Whether the log went to a terminal at the start."""
    _reloads: set["asyncio.Task[None]"] = field(factory=set)

    def listen(self) -> None:
        """Begin."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.hear)

    def hear(self) -> None:
        """What one signal does; on the way to the end it does nothing."""
        if self.ending.asked.is_set():
            return
        if self.on_terminal and not sys.stderr.isatty():
            self.ending.begin()
        else:
            reloading = asyncio.create_task(self._reload(), name="reload")
            self._reloads.add(reloading)
            reloading.add_done_callback(self._reloads.discard)

    async def _reload(self) -> None:
        try:
            await self.reload()
        except LmxError as error:
            self.log.error("config_reload_failed", problems=error.message.splitlines())
        except Exception as error:  # a signal has nobody to answer to, and must not end the server
            self.log.error("config_reload_failed", exc_info=error)


def _announce(kernel: "Kernel", url: str) -> None:
    for record in kernel.registry.records:
        if record.status is Status.FAILED:
            kernel.log.error("plugin_failed", plugin=record.name, reason=record.reason, advice=record.advice)
    if not any(offer.spec.isolation == "process" for offer in kernel.registry.specs("lmx_backends")):
        hints = {record.name: record.advice for record in kernel.registry.records if record.status is Status.IDLE}
        kernel.log.warning("no_engine", advice="install an extra with an engine, such as opta-lmx[mlx]", **hints)
    for line in passed_over(os.environ):
        kernel.log.warning("variable_not_read", advice=line)
    folder = kernel.config.raw.directory
    where = str(folder.resolve()) if folder else "none found: every key has its default"
    kernel.log.info("listening", url=url, version=__version__, api=f"{url}/v1", configuration=where)

"""A plugin whose jobs behave in every way, and the kernel's side of them."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from kernel_support import Log
from lmx.jobs import Jobs
from lmx.plugins import discover
from lmx_hookspecs import JobStatus
from lmx_hookspecs.testing import FakeEvents
from plugin_folder import PluginFolder
from worker_support import WAIT_S, until

PLUGIN = """
import ctypes
import os
import signal
import sys
from pathlib import Path

from attrs import frozen

from lmx_hookspecs.errors import InsufficientStorage


@frozen
class Config:
    unit: str = option("steps", "What is counted.")


@frozen(kw_only=True)
class Arguments:
    to: int = option(3, "Where to stop.", ge=1)
    path: Path | None = option(None, "A file to write.")


def count(context, arguments, progress):
    for number in range(1, arguments.to + 1):
        progress(number / arguments.to, f"at {number}", counted=number)
    context.log.info("counted", to=arguments.to)
    return {"counted": arguments.to, "unit": context.config.unit, "path": arguments.path}


def tell(context, arguments, progress):
    print("to stdout")
    print("to stderr", file=sys.stderr)
    return {"niceness": os.nice(0), "mark": os.environ["LMX_TEST_MARK"]}


def refuse(context, arguments, progress):
    progress(0.5, "half way")
    raise InsufficientStorage("5 GB are needed", detail="5 GB are needed in /private/\\udcff")


def blunder(context, arguments, progress):
    raise LookupError("no \\udcff here")


def crash(context, arguments, progress):
    print("secret words")
    os.abort()


def quit(context, arguments, progress):
    sys.exit(3)


def shrug(context, arguments, progress):
    return None


def mystify(context, arguments, progress):
    return {"value": object()}


def hang(context, arguments, progress):
    arguments.path.touch()
    progress(0.25, "hanging")
    try:
        signal.pause()
    finally:
        arguments.path.unlink()


def finish(context, arguments, progress):
    try:
        progress(0.25, "hanging")
        signal.pause()
    except KeyboardInterrupt:
        return {"finished": True}


def resist(context, arguments, progress):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    progress(0.25, "hanging")
    while True:
        try:
            signal.pause()
        except KeyboardInterrupt:
            pass


def clutch(context, arguments, progress):
    progress(0.25, "hanging")
    progress.flush()
    ctypes.PyDLL(None).sleep(60)  # without letting go of the interpreter, as a long call of an extension might


def clutch_and_resist(context, arguments, progress):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    clutch(context, arguments, progress)


ALL = [
    count, tell, refuse, blunder, crash, quit, shrug, mystify, hang, finish, resist, clutch, clutch_and_resist,
]


@hookimpl
def lmx_config():
    return [ConfigSpec(cls=Config)]


@hookimpl
def lmx_jobs():
    return [
        JobSpec(
            name=f"test.{run.__name__}", arguments=Arguments, run=run, environment=lambda: {"LMX_TEST_MARK": "here"}
        )
        for run in ALL
    ]
"""


@define(eq=False)
class JobDesk:
    """The jobs of that plugin, and what was logged, published and told of them."""

    folder: PluginFolder
    config: Mapping[str, Any] = field(factory=dict)
    stop_grace_s: float = 0.3
    interpreter: Path | None = None
    log: Log = field(factory=Log)
    published: list[tuple[str, Mapping[str, Any]]] = field(factory=list)
    told: list[JobStatus] = field(factory=list)
    jobs: Jobs = field(init=False)

    def __attrs_post_init__(self) -> None:
        events: Any = FakeEvents(self.published)
        registry = discover((), self.folder.entries).collect()
        self.jobs = Jobs(
            partial(registry.specs, "lmx_jobs"),
            lambda _plugin: self.config,
            events,
            self.log,
            self.stop_grace_s,
            interpreter_of=lambda _plugin: self.interpreter,
        )

    def start(self, name: str, **arguments: Any) -> JobStatus:
        return self.jobs.start(f"test.{name}", arguments, on_change=self.told.append)

    async def end_of(self, name: str, **arguments: Any) -> JobStatus:
        """The job's last status."""
        async with asyncio.timeout(WAIT_S):
            return await self.jobs.wait(self.start(name, **arguments).id)

    async def hanging(self, name: str, **arguments: Any) -> JobStatus:
        """A job that has got to where it hangs."""
        started = self.start(name, **arguments)
        await until(lambda: self.jobs.get(started.id).note == "hanging")
        return self.jobs.get(started.id)


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> PluginFolder:
    """The plugin, importable here and in the processes that are started from here."""
    installed = PluginFolder(folder, monkeypatch)
    installed.add("jobs-of-test", PLUGIN)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    return installed


@asynccontextmanager
async def opened(folder: PluginFolder, **options: Any) -> AsyncIterator[JobDesk]:
    desk = JobDesk(folder, **options)
    try:
        yield desk
    finally:
        await desk.jobs.close()

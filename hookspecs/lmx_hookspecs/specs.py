"""Every hook: READ THIS FIRST.

A plugin is a module named by an entry point of group `lmx.plugins`. It implements some of the functions below,
each marked `@hookimpl`. Hooks take no arguments, are called once at start-up, and return a sequence of frozen specs:
recipes whose `open` or `load` is called later, when there is something to run. No hook is on a request's path.

    from lmx_hookspecs import BackendSpec, hookimpl

    @hookimpl
    def lmx_backends():
        return [BackendSpec(name="mine", ...)]

Order at start-up: the configuration files are merged; disabled plugins are left alone; the rest are imported;
`lmx_requires` and `lmx_config` are called; everything is validated; then the other hooks are called, and what they
return is opened. One broken plugin is listed as failed, with the reason, and the others go on.
"""

from collections.abc import Sequence

import pluggy

from lmx_hookspecs.commands import CommandSpec
from lmx_hookspecs.config import ConfigSpec, Requires
from lmx_hookspecs.constraints import ConstraintSpec, DialectSpec
from lmx_hookspecs.documents import ChunkerSpec, ReaderSpec
from lmx_hookspecs.engines import BackendSpec
from lmx_hookspecs.health import HealthCheck
from lmx_hookspecs.http import MiddlewareSpec, SurfaceSpec
from lmx_hookspecs.jobs import JobSpec
from lmx_hookspecs.models import ModelSourceSpec
from lmx_hookspecs.reranking import RerankerSpec
from lmx_hookspecs.scheduling import GuardSpec, SchedulerSpec
from lmx_hookspecs.stores import RetrieverSpec

PROJECT = "lmx"
ENTRY_POINT_GROUP = "lmx.plugins"
CONTRACT_VERSION = 1
"""Raised when a change would break a plugin; a plugin may say what it was written for in `LMX_CONTRACT`."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def lmx_requires() -> Sequence[Requires]:
    """Modules that must be importable; without them the plugin is `idle`, listed with the pip line that brings them.

    Called before every hook but `lmx_config`.
    """


@hookspec
def lmx_config() -> Sequence[ConfigSpec]:
    """The configuration keys of this plugin."""


@hookspec
def lmx_backends() -> Sequence[BackendSpec]:
    """Engines."""


@hookspec
def lmx_model_sources() -> Sequence[ModelSourceSpec]:
    """Where model ids come from: built in, folders, hubs."""


@hookspec
def lmx_schedulers() -> Sequence[SchedulerSpec]:
    """Scheduling policies; `scheduling.policy` chooses one."""


@hookspec
def lmx_guards() -> Sequence[GuardSpec]:
    """What stands around each attempt on a target: circuit breakers."""


@hookspec
def lmx_middlewares() -> Sequence[MiddlewareSpec]:
    """Raw ASGI around everything: shedders, rate limiters."""


@hookspec
def lmx_surfaces() -> Sequence[SurfaceSpec]:
    """HTTP APIs, as lists of routes."""


@hookspec
def lmx_health_checks() -> Sequence[HealthCheck]:
    """Named checks for `/readyz` and `lmx doctor`."""


@hookspec
def lmx_retrievers() -> Sequence[RetrieverSpec]:
    """Stores that ingest chunks and search them."""


@hookspec
def lmx_rerankers() -> Sequence[RerankerSpec]:
    """Models that reorder candidates for a query."""


@hookspec
def lmx_readers() -> Sequence[ReaderSpec]:
    """Kinds of files that documents can be read from."""


@hookspec
def lmx_chunkers() -> Sequence[ChunkerSpec]:
    """Ways to cut documents into chunks."""


@hookspec
def lmx_constraints() -> Sequence[ConstraintSpec]:
    """Grammar and schema masks over token ids, compiled in the worker."""


@hookspec
def lmx_dialects() -> Sequence[DialectSpec]:
    """Formats of tool calls and reasoning, parsed in the worker."""


@hookspec
def lmx_jobs() -> Sequence[JobSpec]:
    """Long work in a process of its own."""


@hookspec
def lmx_commands() -> Sequence[CommandSpec]:
    """Subcommands of `lmx`."""

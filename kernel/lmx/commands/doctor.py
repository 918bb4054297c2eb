"""`lmx doctor`: looks at the machine and the setup, and says what to do."""

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from attrs import asdict, evolve

from lmx.assembly import Assembly
from lmx.commands import machine_checks, setup_checks, state_checks
from lmx.commands.context import assembly_of
from lmx.commands.findings import Finding, Verdict, fail, ok
from lmx.commands.output import write, write_json
from lmx_hookspecs import CommandContext
from lmx_hookspecs.errors import ConfigError, InvalidRequest

T = TypeVar("T")

MACHINE = (
    machine_checks.python,
    machine_checks.system,
    machine_checks.engines,
    machine_checks.memory,
    machine_checks.home,
    state_checks.state,
    state_checks.keys,
)
SETUP = (setup_checks.plugins, setup_checks.preloads, setup_checks.folders, setup_checks.models, setup_checks.port)

MARKS: Mapping[Verdict, str] = {Verdict.OK: "ok", Verdict.WARN: "warn", Verdict.FAIL: "FAIL"}
COLOURS: Mapping[Verdict, str] = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}


class Doctor:
    """Runs every check; exits with 1 when one fails."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--json", action="store_true", help="print JSON")
        engine = "instead, load a model with this engine, generate, cancel, embed and unload, with the numbers"
        parser.add_argument("--engine", metavar="NAME", help=engine)
        model = "with --engine: this model; default: the one that ships with LMX, else the smallest it opens"
        parser.add_argument("--model", metavar="ID", help=model)

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Print what each check found, as it comes."""
        if args.model and not args.engine:
            raise InvalidRequest("--model says what an engine is to load; name the engine with --engine NAME")
        measured: dict[str, Any] = {}
        findings = _engine_findings(args, context, measured) if args.engine else _findings(context)
        if args.json:
            found = list(findings)
            told = {"findings": [asdict(finding) for finding in found]}
            write_json({**told, "measured": measured} if args.engine else told)
        else:
            found = _print(findings)
        return int(any(finding.verdict is Verdict.FAIL for finding in found))


def _engine_findings(args: Namespace, context: CommandContext, measured: dict[str, Any]) -> Iterator[Finding]:
    """What the engine did; `measured` is filled with the numbers."""
    from lmx import log
    from lmx.commands.engine_check import EngineCheck
    from lmx.kernel import Kernel

    assembly = assembly_of(context)
    log.configure(evolve(assembly.config.section("logging"), level="CRITICAL", file=None))
    with asyncio.Runner() as runner:
        kernel = runner.run(_made(lambda: Kernel(assembly.config, assembly.registry, loads_at_start=False)))
        check = EngineCheck(kernel, args.engine, args.model)
        check.measured = measured
        findings = check.findings()
        while (finding := runner.run(_next(findings))) is not None:
            yield finding


async def _made(make: Callable[[], T]) -> T:
    """On the loop, where some of its parts have to be made."""
    return make()


async def _next(findings: AsyncIterator[Finding]) -> Finding | None:
    return await anext(findings, None)


def _findings(context: CommandContext) -> Iterator[Finding]:
    for look in MACHINE:
        yield from _looked(look)
    try:
        assembly = assembly_of(context)
    except ConfigError as error:
        yield fail("config", error.message, "mend it; `lmx config check` checks it without the rest")
        return
    yield ok("config", "no problems")
    for look_at in SETUP:
        yield from _looked(look_at, assembly)


def _looked(look: Callable[..., Iterator[Finding]], *subject: Assembly) -> Iterator[Finding]:
    try:
        yield from look(*subject)
    except Exception as error:  # what breaks a check is itself worth knowing, and the others go on
        yield fail(look.__name__, f"the check broke: {error!r}", "please report this")


def _print(findings: Iterable[Finding]) -> list[Finding]:
    show = _show_rich if sys.stdout.isatty() else _show_plain
    found = []
    for finding in findings:
        show(finding)
        found.append(finding)
    return found


def _show_plain(finding: Finding) -> None:
    write(f"{MARKS[finding.verdict]:5}{finding.check}: {finding.seen}")
    if finding.advice:
        write(f"     → {finding.advice}")


def _show_rich(finding: Finding) -> None:
    from rich.console import Console
    from rich.text import Text

    mark = Text(f"{MARKS[finding.verdict]:5}", style=COLOURS[finding.verdict])
    advice = f"\n     → {finding.advice}" if finding.advice else ""
    Console(highlight=False).print(Text.assemble(mark, (finding.check, "bold"), f": {finding.seen}{advice}"))

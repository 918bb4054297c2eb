"""A job's process: `python -m lmx.workers.job_main --fd N`, where N is its end of the socket pair.

The main thread runs the job. One thread reads frames, another sends progress. The process ends when the kernel says
stop or is gone: the job is interrupted, and has a moment to clear away what it began.
"""

import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from lmx.structure import structure
from lmx.workers import recipe, wire
from lmx.workers.frame_log import FrameLog
from lmx.workers.frames import JOB_ID, FrameError, FrameSocket
from lmx.workers.opening import check_versions, open_link
from lmx.workers.reporter import Reporter
from lmx.workers.threads import EXIT_LEFT, guarded, leave, start_thread
from lmx.workers.versions import VERSIONS
from lmx_hookspecs.errors import LmxError, PluginError

NICENESS = 5
"""Nobody waits for a job by the millisecond: the kernel, and engines in mid-generation, go first."""
CLEAR_AWAY_S = 2.0
"""How long an interrupted job may take to clear away what it began."""


def main() -> None:
    """Run the job that the kernel at the other end of `--fd` names, and end without unwinding what it imported."""
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the kernel was started with it ignored
    link = open_link("lmx.workers.job_main")
    guarded(lambda: serve(link))
    leave(0)


def serve(link: FrameSocket) -> None:
    """Say hello, run the job, and tell how it ended."""
    try:
        link.send("hello", VERSIONS)
        frames = link.frames()
        hello, job = next(frames), next(frames)
        reporter = Reporter(link)
        start_thread("frames", partial(_read, frames, threading.get_ident()))
        start_thread("progress", reporter.run)
        value = _outcome(link, hello[1], job[1], reporter)
        reporter.flush()
        _answer(link, value)
    except KeyboardInterrupt:
        leave(EXIT_LEFT)


def _outcome(
    link: FrameSocket, kernel: Mapping[str, Any], job: Mapping[str, Any], progress: Reporter
) -> Mapping[str, Any] | LmxError:
    try:
        check_versions(kernel)
        return _run(job, FrameLog(link, job["plugin"]), progress)
    except LmxError as error:
        return error
    except Exception as error:  # the boundary around a plugin's job: the kernel says what happened, stderr where
        traceback.print_exc()
        return LmxError(f"the job failed: {type(error).__name__}: {error}")


def _run(job: Mapping[str, Any], log: FrameLog, progress: Reporter) -> Mapping[str, Any]:
    spec = recipe.job(job["plugin"], job["job"])
    context = recipe.EngineContext(config=recipe.configuration(job["plugin"], job["config"]), log=log)
    value = spec.run(context, structure(job["arguments"], spec.arguments), progress)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the work is done: it is too late to cancel it
    if not isinstance(value, Mapping):
        raise PluginError(f"job '{spec.name}' returned a {type(value).__name__}; it has to return a mapping")
    return value


def _answer(link: FrameSocket, value: Mapping[str, Any] | LmxError) -> None:
    if isinstance(value, LmxError):
        link.send("failed", JOB_ID, wire.error_to_wire(value))
        return
    try:
        link.send("result", JOB_ID, value)
    except FrameError as error:
        link.send("failed", JOB_ID, wire.error_to_wire(PluginError(f"the job's result is no plain data: {error}")))


def _read(frames: Iterator[Any], main_thread: int) -> None:
    for frame in frames:
        if frame[0] == "stop":
            break
    signal.pthread_kill(main_thread, signal.SIGINT)  # which also ends a wait of the system's
    time.sleep(CLEAR_AWAY_S)
    leave(EXIT_LEFT)


if __name__ == "__main__":
    main()

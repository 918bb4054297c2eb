"""A worker process: `python -m lmx.workers.main --fd N`, where N is its end of the socket pair.

The main thread loads the engine and runs its host. One thread reads frames, another beats. The process ends when the
socket closes, whatever the main thread is doing: a kernel that was killed leaves no orphan.
"""

import gc
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from lmx.workers import recipe, wire
from lmx.workers.activity import Activity
from lmx.workers.frame_log import FrameLog
from lmx.workers.frames import LOAD_ID, FrameSocket
from lmx.workers.opening import check_versions, open_link
from lmx.workers.outbox import Outbox
from lmx.workers.threads import EXIT_LEFT, guarded, leave, start_thread
from lmx.workers.versions import VERSIONS
from lmx_hookspecs.engines import EngineDescription
from lmx_hookspecs.errors import EngineFailed, LmxError

SWITCH_INTERVAL_S = 0.0005
"""For how long a thread that prepares a prompt may keep the interpreter from the one that steps."""
LEAVE_GRACE_S = 2.0
"""How long a step may still take once the kernel is gone or has said stop."""


class Host(Protocol):
    """Runs one engine or part: what a TokenHost, a TextHost and a PartHost have in common."""

    def load(self) -> EngineDescription | Mapping[str, Any]:
        """Load it; main thread."""

    def run(self) -> None:
        """Serve until `stop`, then close the engine; main thread. An exception means the engine is beyond repair."""

    def receive(self, frame: Any) -> None:
        """A frame from the kernel; reader thread."""

    def stop(self) -> None:
        """Let `run` return; reader thread."""


def main() -> None:
    """Serve the kernel at the other end of `--fd`, and end without unwinding: native engines hang or abort there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the kernel, which drains first
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    link = open_link("lmx.workers.main")
    guarded(lambda: serve(link))
    leave(0)


def serve(link: FrameSocket) -> None:
    """Say hello, load what the kernel names, and run it until the kernel says stop or is gone."""
    link.send("hello", VERSIONS)
    frames = link.frames()
    hello, load = next(frames), next(frames)
    activity = Activity()
    try:
        check_versions(hello[1])
        host = _host(load[1], link, activity)
        start_thread("frames", lambda: _read(frames, host))
        start_thread("beat", lambda: _beat(link, activity, load[1]["heartbeat_interval_s"]))
        description = host.load()
    except LmxError as error:
        link.send("failed", LOAD_ID, wire.error_to_wire(error))
        return
    except Exception as error:  # the boundary around a plugin's load: the kernel says what happened, stderr where
        traceback.print_exc()
        told = EngineFailed(f"the engine could not be loaded: {type(error).__name__}: {error}")
        link.send("failed", LOAD_ID, wire.error_to_wire(told))
        return
    # What loading has left lives as long as the process: looking through it at every full collection costs steps.
    gc.collect()
    gc.freeze()
    link.send("ready", description)
    host.run()


def _host(load: Mapping[str, Any], link: FrameSocket, activity: Activity) -> Host:
    if "part" not in load:
        return _engine_host(load, link, activity)

    from lmx.workers.part_host import PartHost
    from lmx.workers.part_recipes import opened

    recipe_of_part, protocol = opened(load, FrameLog(link, load["plugin"]))
    return PartHost(recipe_of_part, protocol, link, activity)


def _engine_host(load: Mapping[str, Any], link: FrameSocket, activity: Activity) -> Host:
    spec = recipe.backend(load["plugin"], load["backend"])
    context = recipe.EngineContext(
        config=recipe.configuration(load["plugin"], load["config"]), log=FrameLog(link, load["plugin"])
    )
    model = wire.model_from_wire(load["model"])

    def load_engine() -> Any:
        return spec.load(context, model)

    if spec.level == "tokens":
        from lmx.workers.dialect import dialect_of
        from lmx.workers.token_host import TokenHost

        plugins = load["text_plugins"]
        specs = recipe.dialects(plugins)
        return TokenHost(
            load_engine,
            link,
            activity,
            Outbox(load["stream_interval_s"]),
            dialect_of=lambda tokenizer: dialect_of(tokenizer, specs, model.settings),
            constraint_specs=recipe.constraints(plugins),
        )

    from lmx.workers.text_host import TextHost

    return TextHost(load_engine, link, activity)


def _read(frames: Iterator[Any], host: Host) -> None:
    for frame in frames:
        if frame[0] == "stop":
            break
        host.receive(frame)
    host.stop()
    time.sleep(LEAVE_GRACE_S)
    leave(EXIT_LEFT)


def _beat(link: FrameSocket, activity: Activity, interval_s: float) -> None:
    try:
        while True:
            link.send("beat", activity.age_s(), len(activity.live))
            time.sleep(interval_s)
    except OSError:
        return  # the kernel is gone; the reader ends the process


if __name__ == "__main__":
    main()

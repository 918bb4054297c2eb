"""How every worker process begins: with its end of the socket pair, and the versions that both sides speak."""

import argparse
import faulthandler
import signal
import socket
from collections.abc import Mapping
from typing import Any

from lmx.workers.frames import FrameSocket
from lmx.workers.versions import VERSIONS, mismatch
from lmx_hookspecs.errors import Unavailable


def open_link(module: str) -> FrameSocket:
    """The link to the kernel, from `--fd N` on the command line of `module`; crashes write their stack from here on."""
    parser = argparse.ArgumentParser(prog=module)
    parser.add_argument("--fd", type=int, required=True)
    faulthandler.enable(all_threads=False)
    faulthandler.register(signal.SIGUSR1)  # the kernel asks where it hangs before it kills
    return FrameSocket(socket.socket(fileno=parser.parse_args().fd))


def check_versions(kernel: Mapping[str, Any]) -> None:
    """Raise Unavailable where the kernel speaks other versions than this worker."""
    reason = mismatch(kernel, VERSIONS)
    if reason is not None:
        raise Unavailable(reason, code="no_engine")

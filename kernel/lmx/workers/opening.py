"""How every worker process begins: with its end of the socket pair, and the versions that both sides speak."""

import argparse
import faulthandler
import signal
import socket
from collections.abc import Mapping

from lmx.workers.frames import VERSIONS, FrameSocket
from lmx_hookspecs.errors import EngineFailed


def open_link(module: str) -> FrameSocket:
    """The link to the kernel, from `--fd N` on the command line of `module`; crashes write their stack from here on."""
    parser = argparse.ArgumentParser(prog=module)
    parser.add_argument("--fd", type=int, required=True)
    faulthandler.enable(all_threads=False)
    faulthandler.register(signal.SIGUSR1)  # the kernel asks where it hangs before it kills
    return FrameSocket(socket.socket(fileno=parser.parse_args().fd))


def check_versions(kernel: Mapping[str, int]) -> None:
    """Raise EngineFailed where the kernel speaks other versions than this worker."""
    if kernel != VERSIONS:
        raise EngineFailed(f"the worker speaks {VERSIONS}, the kernel {kernel}; install one version of opta-lmx")

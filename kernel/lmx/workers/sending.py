"""Sending what an engine gave: one value that cannot travel fails its request, not the connection."""

from collections.abc import Sequence

from lmx.workers.frames import FrameError, FrameSocket
from lmx.workers.wire import WirePiece
from lmx_hookspecs.errors import EngineFailed


def send_step(link: FrameSocket, pieces: Sequence[WirePiece]) -> dict[int, EngineFailed]:
    """Send the pieces in one frame; returns the requests of those that could not be sent, and why."""
    try:
        link.send("step", pieces)
    except FrameError as error:
        if len(pieces) == 1:
            return {pieces[0][0]: EngineFailed(f"the engine answered what cannot be sent: {error}")}
        refused: dict[int, EngineFailed] = {}
        for piece in pieces:
            if piece[0] not in refused:  # what follows a gap would pass for the whole answer
                refused |= send_step(link, [piece])
        return refused
    return {}

"""Which versions kernel and worker speak: they are of one installation, unless the worker has its own interpreter."""

from collections.abc import Mapping
from typing import Any

from lmx import __version__
from lmx_hookspecs.specs import CONTRACT_VERSION

DISTRIBUTION = "opta-lmx"
FRAMES_VERSION = 3
"""Raised when a frame changes so that the other side would misunderstand it."""
VERSIONS: Mapping[str, Any] = {
    "contract": CONTRACT_VERSION,
    "frames": FRAMES_VERSION,
    DISTRIBUTION: ".".join(__version__.split(".")[:2]),
}
"""What the `hello` of this side says; of the distribution the minor version is enough."""


def mismatch(kernel: Mapping[str, Any], worker: Mapping[str, Any], plugin: str = "NAME") -> str | None:
    """Why the two cannot work together, and what to do; None where they can. `plugin` is whose worker it is."""
    if kernel == worker:
        return None
    names = [name for name in VERSIONS if kernel.get(name) != worker.get(name)]
    told = ", ".join(f"{name} {worker.get(name, 'of no version')} instead of {kernel.get(name)}" for name in names)
    return (
        f"the worker's Python environment has another version of {DISTRIBUTION} than this server ({told}); install "
        f"the same version in both: `lmx plugins install {plugin} --isolated` makes the worker's anew"
    )

"""What a quantise job is told; MLX is not imported here."""

from collections.abc import Mapping
from pathlib import Path

from attrs import Factory, frozen

from lmx_hookspecs import option
from lmx_hookspecs.errors import InvalidRequest


@frozen(kw_only=True)
class Mode:
    """A way of quantising that MLX knows: allowed bits and group sizes, the usual one first."""

    bits: tuple[int, ...]
    group_sizes: tuple[int, ...]
    scale_bytes: int = 1
    """Beside the weights of each group; 0 stands for a scale and a bias in the model's own float type."""


MODES: Mapping[str, Mode] = {
    "affine": Mode(bits=(4, 2, 3, 5, 6, 8), group_sizes=(64, 32, 128), scale_bytes=0),
    "mxfp4": Mode(bits=(4,), group_sizes=(32,)),
    "nvfp4": Mode(bits=(4,), group_sizes=(16,)),
    "mxfp8": Mode(bits=(8,), group_sizes=(32,)),
}


def _usual_bits(arguments: "QuantizeArguments") -> int:
    return MODES.get(arguments.mode, MODES["affine"]).bits[0]


def _usual_group_size(arguments: "QuantizeArguments") -> int:
    return MODES.get(arguments.mode, MODES["affine"]).group_sizes[0]


@frozen(kw_only=True)
class QuantizeArguments:
    """A model on disk, where its quantised form goes, and how; raises InvalidRequest where MLX has no such form."""

    source_path: Path = option(doc="the folder of the model, absolute")
    output_path: Path = option(doc="the folder to make, absolute; it must not exist yet")
    source_model: str = option("", "the model's id, for people", max_length=1024)
    mode: str = option("affine", "affine, mxfp4, nvfp4 or mxfp8", max_length=32)
    bits: int = option(Factory(_usual_bits, takes_self=True), "bits of a weight: affine has 2, 3, 4, 5, 6 and 8")
    group_size: int = option(
        Factory(_usual_group_size, takes_self=True), "weights that share a scale: affine has 32, 64 and 128"
    )

    def __attrs_post_init__(self) -> None:
        if self.mode not in MODES:
            hint = "; what was symmetric is affine here" if self.mode == "symmetric" else ""
            raise InvalidRequest(f"mode is {self.mode!r}; choose {', '.join(MODES)}{hint}", param="mode")
        mode = MODES[self.mode]
        self._check("bits", self.bits, mode.bits)
        self._check("group_size", self.group_size, mode.group_sizes)
        for name, path in (("source_path", self.source_path), ("output_path", self.output_path)):
            if not path.is_absolute():
                raise InvalidRequest(f"{name} is {str(path)!r}; give an absolute path", param=name)

    def _check(self, name: str, value: int, allowed: tuple[int, ...]) -> None:
        if value not in allowed:
            choices = ", ".join(map(str, sorted(allowed)))
            raise InvalidRequest(f"{name} is {value}; mode {self.mode} has {choices}", param=name)

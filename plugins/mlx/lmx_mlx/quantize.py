"""The quantise job: mlx-lm's converter on a folder, into a folder beside the output that is renamed at the end."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmx_hookspecs import Progress, WorkerContext
from lmx_hookspecs.errors import Conflict, EngineFailed, InsufficientStorage, InvalidRequest
from lmx_mlx.quantize_arguments import MODES, QuantizeArguments
from lmx_mlx.quantize_watch import Watch, size_of
from lmx_mlx.weights import FLOAT_BYTES, Tensor, float_type, is_quantised, read_config, tensors_of

GIB = 1024**3


def quantize(ctx: WorkerContext, arguments: QuantizeArguments, progress: Progress) -> Mapping[str, Any]:
    """Raises InvalidRequest for a source that cannot be quantised like this, Conflict where the output exists."""
    began = time.monotonic()
    output = arguments.output_path
    progress(0.0, "reading")
    tensors = _readable(arguments)
    expected_bytes = quantised_bytes(tensors, arguments)
    with _claimed(output, expected_bytes) as folder:
        _convert(arguments, folder, expected_bytes, progress)
        weight_bytes = _checked_weight_bytes(folder, arguments)
        folder.rename(output)
    size_bytes = size_of(output)
    progress(1.0, "done", written_bytes=size_bytes)
    ctx.log.info("model_quantized", source=str(arguments.source_path), output=str(output), bits=arguments.bits)
    return {
        "source_model": arguments.source_model,
        "output_path": str(output),
        "output_size_bytes": size_bytes,
        "bits": arguments.bits,
        "group_size": arguments.group_size,
        "mode": arguments.mode,
        "bits_per_weight": round(weight_bytes * 8 / sum(tensor.elements for tensor in tensors), 2),
        "duration_s": round(time.monotonic() - began, 3),
    }


def quantised_bytes(tensors: list[Tensor], arguments: QuantizeArguments) -> int:
    """About what the weights will take: every matrix whose rows the groups divide, quantised."""
    scale_bytes = MODES[arguments.mode].scale_bytes or 2 * FLOAT_BYTES.get(float_type(tensors), 0)
    bits_per_weight = arguments.bits + 8 * scale_bytes / arguments.group_size
    return int(sum(_share(tensor, arguments.group_size, bits_per_weight) for tensor in tensors))


def _share(tensor: Tensor, group_size: int, bits_per_weight: float) -> float:
    fits = len(tensor.shape) > 1 and tensor.shape[-1] % group_size == 0
    return tensor.elements * bits_per_weight / 8 if fits else tensor.loaded_bytes


def _readable(arguments: QuantizeArguments) -> list[Tensor]:
    """The tensors of the source; raises InvalidRequest where there is nothing to quantise."""
    source = arguments.source_path
    tensors = tensors_of(source)
    if not tensors or not (source / "config.json").is_file():
        raise InvalidRequest(
            f"{source} has no config.json with safetensors beside it; GGUF files and adapters cannot be quantised here",
            param="source_model",
        )
    if _is_final(read_config(source)):
        raise InvalidRequest(
            f"{arguments.source_model or source} is quantised already; start from the original model",
            param="source_model",
        )
    return tensors


def _is_final(config: Mapping[str, Any]) -> bool:
    """Whether the weights are quantised; 8-bit floats, in which some models are published, mlx-lm turns back first."""
    method = config.get("quantization_config")
    published = isinstance(method, dict) and method.get("quant_method") == "fp8" and "quantization" not in config
    return is_quantised(config) and not published


@contextmanager
def _claimed(output: Path, expected_bytes: int) -> Iterator[Path]:
    """A folder that does not exist yet, on the output's file system; what is left in its parent is cleared away.

    The parent, `.<name>.partial`, is locked while the job runs. A killed job leaves it, and the next one empties it.
    """
    if output.exists():
        raise Conflict(f"{output} exists; delete it, or choose another output_path", param="output_path")
    partial = output.with_name(f".{output.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(partial, os.O_RDONLY)
    try:
        _lock(descriptor, output)
        folder = partial / output.name
        shutil.rmtree(folder, ignore_errors=True)
        try:
            _check_disk(partial, expected_bytes)
            yield folder
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, output: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Conflict(f"another job writes {output}; wait for it, or cancel it", param="output_path") from None


def _check_disk(folder: Path, expected_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < expected_bytes:
        raise InsufficientStorage(
            f"the quantised model takes about {expected_bytes / GIB:.2f} GiB and {folder.parent} has "
            f"{free_bytes / GIB:.2f} GiB left; make room, or choose another output_path",
            param="output_path",
        )


def _convert(arguments: QuantizeArguments, folder: Path, expected_bytes: int, progress: Progress) -> None:
    from mlx_lm import convert

    from lmx_mlx.reading import load_error

    try:
        with Watch(folder=folder, expected_bytes=expected_bytes, progress=progress).running():
            convert(
                str(arguments.source_path),
                str(folder),
                quantize=True,
                q_bits=arguments.bits,
                q_group_size=arguments.group_size,
                q_mode=arguments.mode,
            )
    except Exception as error:  # mlx-lm and transformers raise anything at a damaged or unknown model
        if folder.exists():
            raise EngineFailed(f"{arguments.output_path} could not be written: {error}") from error
        raise load_error(arguments.source_path, error) from error


def _checked_weight_bytes(folder: Path, arguments: QuantizeArguments) -> int:
    """Bytes of the weights; raises where none is quantised: layers that the groups do not divide are passed over."""
    tensors = tensors_of(folder)
    if not any(tensor.dtype == "U32" for tensor in tensors):
        raise InvalidRequest(
            f"groups of {arguments.group_size} divide no layer of {arguments.source_model or arguments.source_path}; "
            "choose a smaller group_size",
            param="group_size",
        )
    return sum(tensor.size_bytes for tensor in tensors)

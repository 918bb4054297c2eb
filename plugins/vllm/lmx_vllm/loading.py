"""From a folder of safetensors to a running engine."""

from pathlib import Path
from typing import Any

import mlx.core as mx
import psutil

from lmx_hookspecs import ModelInfo, WorkerContext
from lmx_hookspecs.errors import EngineFailed, LmxError, Unavailable
from lmx_hookspecs.model_files import refuse_remote_code
from lmx_vllm import core
from lmx_vllm.capabilities import capabilities_of
from lmx_vllm.config import VllmConfig
from lmx_vllm.engine import VllmEngine
from lmx_vllm.need import read_config
from lmx_vllm.prompts import Prompts
from lmx_vllm.settings import Settings, keeps_prefixes, scheduler_arguments

UNKNOWN_CONTEXT = 4096
"""For the rare configuration that says nothing of its context."""
GIB = 1024**3


def load_engine(ctx: WorkerContext, info: ModelInfo) -> VllmEngine:
    """Load, step once, start the loop; raises an LmxError that says what is wrong with the model's files."""
    config, settings = ctx.config or VllmConfig(), Settings.of(info.settings)
    refuse_remote_code(info)
    folder = _folder(info)
    refuse_model_file(folder)
    limit_memory(config, settings)
    worker = core.new_worker()
    try:
        model, wrapper, width = worker.submit(_read, folder, info.id, config).result()
    except BaseException:
        worker.shutdown(wait=False)
        raise
    prompts = Prompts(wrapper=wrapper, vocab_size=width)
    return VllmEngine(
        core=core.Core.start(model, wrapper, scheduler_arguments(config, settings), worker),
        prompts=prompts,
        context_length=context_length(info, settings),
        capabilities=capabilities_of(
            chat=prompts.has_chat_template,
            batching=settings.rows > 1,
            prefix_cache=keeps_prefixes(config, settings),
        ),
        max_rows=settings.rows,
        used_bytes=used_bytes,
        details=core.facts(model),
    )


def context_length(info: ModelInfo, settings: Settings) -> int:
    """The model's own, lowered by its setting."""
    longest = info.context_length or UNKNOWN_CONTEXT
    return longest if settings.context_length is None else min(longest, settings.context_length)


def limit_memory(config: VllmConfig, settings: Settings) -> None:
    """On Metal, where an allocation beyond the limit fails instead of ending the process."""
    recommended = mx.device_info().get("max_recommended_working_set_size")
    if recommended is not None:
        mx.set_memory_limit(int(int(recommended) * config.gpu_memory_utilization))
    if settings.metal_cache_limit_gb is not None:
        mx.set_cache_limit(int(settings.metal_cache_limit_gb * GIB))


def used_bytes() -> int:
    """Bytes on the GPU where there is one, else the resident set of this process."""
    if mx.default_device() == mx.gpu:
        return int(mx.get_active_memory())
    return int(psutil.Process().memory_info().rss)


def refuse_model_file(folder: Path) -> None:
    """Its mlx-lm runs the Python file that `model_file` names, unasked: no setting can make that harmless."""
    if read_config(folder).get("model_file"):
        raise Unavailable(
            f"{folder.name} brings its own Python code (model_file in config.json), which LMX does not run; "
            "use a conversion without it",
            code="no_engine",
        )


def _folder(info: ModelInfo) -> Path:
    if info.path is None or not info.path.is_dir():
        raise EngineFailed(f"{info.id} has no folder on disk; check models.directories")
    return info.path


def _read(folder: Path, model_id: str, config: VllmConfig) -> tuple[Any, Any, int]:
    try:
        model, wrapper = core.load(folder, model_id, float32_on_cpu=config.float32_on_cpu)
        return model, wrapper, core.logits_width(model)
    except Exception as error:  # mlx-lm and transformers raise anything at a damaged or unknown model
        raise load_error(folder, error) from error


def load_error(folder: Path, error: Exception) -> LmxError:
    """What vllm-mlx and mlx-lm say of a model folder, in our terms."""
    message = str(error)
    if "not supported" in message and "Model type" in message:
        return Unavailable(f"{folder.name}: its mlx-lm does not know this architecture: {message}", code="no_engine")
    return EngineFailed(
        f"{folder.name} cannot be loaded: {message or repr(error)}; check its files, or download it again"
    )

"""What a model will take of the memory, before it is loaded."""

import asyncio
from typing import Any

from attrs import evolve, field, frozen

from lmx.models.adapters import size_bytes
from lmx_hookspecs import WORKER_BYTES, BackendSpec, Logger, MemoryNeed, ModelInfo
from lmx_hookspecs.errors import InvalidRequest

GB = 1_000_000_000
MOST_GB = 100_000
"""The most that a setting may state, as the configuration has it."""
WEIGHTS_FACTOR = 1.15
"""What engines take beside the weights themselves: buffers, tables, fragments."""
KV_ROWS = 4
KV_TOKENS = 4096
"""Rows of so many tokens fit where no `kv_budget_gb` is set."""


@frozen(kw_only=True)
class Estimate:
    """The parts of a reservation, in bytes; `stated_bytes`, of `memory_estimate_gb`, takes the place of the others."""

    weight_bytes: int = 0
    """Of the weights, in the type that they are loaded in."""
    adapter_bytes: int = 0
    draft_bytes: int = 0
    """Of the weights of the draft model."""
    kv_bytes: int = 0
    kv_is_measured: bool = False
    """As in MemoryNeed."""
    worker_bytes: int = 0
    stated_bytes: int | None = None
    total_bytes: int = field(init=False)

    @total_bytes.default
    def _sum(self) -> int:
        if self.stated_bytes is not None:
            return self.stated_bytes
        weights = self.weight_bytes + self.adapter_bytes + self.draft_bytes
        return int(weights * WEIGHTS_FACTOR) + self.kv_bytes + self.worker_bytes

    def settled_bytes(self, measured_bytes: int) -> int:
        """What stays set aside once the model is loaded: what it took, and all that its KV caches may still take.

        What was stated stays; so does the whole estimate of an engine that measures nothing.
        """
        if self.stated_bytes is not None or measured_bytes == 0:
            return self.total_bytes
        return measured_bytes + (0 if self.kv_is_measured else self.kv_bytes)

    def __str__(self) -> str:
        if self.stated_bytes is not None:
            return f"{gb(self.total_bytes)} (its memory_estimate_gb)"
        factor = f" x {WEIGHTS_FACTOR}"
        parts = [
            ("weights", self.weight_bytes, factor),
            ("adapter", self.adapter_bytes, factor),
            ("draft model", self.draft_bytes, factor),
            ("KV caches", self.kv_bytes, ""),
            ("worker", self.worker_bytes, ""),
        ]
        always = ("weights", "KV caches")
        told = [f"{name} {gb(taken)}{times}" for name, taken, times in parts if taken or name in always]
        return f"{gb(self.total_bytes)} ({' + '.join(told)})"


def gb(size_bytes: int) -> str:
    """A size for people, to the MB where it is below a GB."""
    return f"{size_bytes / GB:.1f} GB" if size_bytes >= GB else f"{round(size_bytes / GB, 3):g} GB"


async def estimated(spec: BackendSpec, info: ModelInfo, log: Logger, draft: ModelInfo | None = None) -> Estimate:
    """By the model's settings and what its backend knows of it; `info` has the settings that it is loaded with.

    `draft` is the model that drafts for it.

    Raises InvalidRequest for a setting that states what no machine has.
    """
    stated_gb = info.settings.get("memory_estimate_gb")
    if stated_gb is not None:
        return Estimate(stated_bytes=_stated_bytes("memory_estimate_gb", stated_gb))
    need = await _need(spec, info, log)
    drafting = MemoryNeed(weight_bytes=0) if draft is None else await _need(spec, draft, log)
    kv_bytes = _kv_bytes(need, info)
    return Estimate(
        weight_bytes=need.weight_bytes,
        adapter_bytes=await asyncio.to_thread(size_bytes, info.adapter),
        draft_bytes=drafting.weight_bytes,
        kv_bytes=kv_bytes + _draft_kv_bytes(drafting, need, kv_bytes, info),
        worker_bytes=WORKER_BYTES if spec.isolation == "process" else 0,
    )


async def _need(spec: BackendSpec, info: ModelInfo, log: Logger) -> MemoryNeed:
    if spec.memory_need is None:
        return MemoryNeed(weight_bytes=info.size_bytes)
    try:
        return await asyncio.to_thread(spec.memory_need, info)
    except Exception as error:  # a plugin's arithmetic over files of strangers: the size on disk is the next best
        log.warning("memory_need_failed", model=info.id, backend=spec.name, exc_info=error)
        return MemoryNeed(weight_bytes=info.size_bytes)


def _kv_bytes(need: MemoryNeed, info: ModelInfo) -> int:
    budget_gb: Any = info.settings.get("kv_budget_gb")
    if budget_gb is not None:
        return _stated_bytes("kv_budget_gb", budget_gb)
    context_length = info.settings.get("context_length") or info.context_length or KV_TOKENS
    return need.kv_bytes_per_token * KV_ROWS * min(KV_TOKENS, context_length)


def _draft_kv_bytes(drafting: MemoryNeed, need: MemoryNeed, kv_bytes: int, info: ModelInfo) -> int:
    """The draft model keeps the same tokens."""
    if not need.kv_bytes_per_token:
        return _kv_bytes(drafting, evolve(info, settings={**info.settings, "kv_budget_gb": None}))
    return kv_bytes * drafting.kv_bytes_per_token // need.kv_bytes_per_token


def _stated_bytes(name: str, stated_gb: float) -> int:
    """In bytes; the settings of a source's own come here unchecked."""
    if not 0 < stated_gb <= MOST_GB:  # NaN and infinity fail this as well
        raise InvalidRequest(f"{name} is {stated_gb}: it must be above 0 and at most {MOST_GB} GB", param=name)
    return int(stated_gb * GB)

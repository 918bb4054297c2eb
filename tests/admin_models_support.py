"""Stand-ins for the services that hold models: the models themselves, downloads and jobs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from lmx_hookspecs import (
    Capability,
    DownloadOffer,
    DownloadRequest,
    DownloadState,
    DownloadStatus,
    Holding,
    JobState,
    JobStatus,
    LmxError,
    LoadOptions,
    MemoryReport,
    ModelInfo,
    ModelState,
    ModelStatus,
)
from lmx_hookspecs.errors import Conflict, ModelNotFound, NotFound

GB = 10**9
LOADED = ModelStatus(
    info=ModelInfo(
        id="org/big",
        format="safetensors",
        path=Path("/models/org/big"),
        source="folders",
        size_bytes=4_000,
        created=1_700_000_000,
        settings={"mode": "batch", "kv_bits": 8},
    ),
    state=ModelState.READY,
    backend="mlx",
    context_length=8192,
    capabilities=frozenset({Capability.CHAT, Capability.BATCHING}),
    memory_bytes=2_500_000_000,
    loaded_at=1000.0,
    last_used_at=2000.0,
    request_count=7,
    in_flight=2,
    performance={"kv_bits": 8},
    details={"details": {"cache": {"hits": 3, "misses": 1}, "device": "cpu"}},
)
ON_DISK = ModelStatus(
    info=ModelInfo(id="small", format="gguf"), state=ModelState.NO_ENGINE, reason="no engine opens it"
)
REPORT = MemoryReport(
    total_bytes=16 * GB,
    available_bytes=6 * GB,
    budget_bytes=14 * GB,
    held_bytes=3 * GB,
    holdings=[
        Holding(name="org/big", reserved_bytes=3 * GB, measured_bytes=2_500_000_000, pinned=True, idle_s=1.26),
        Holding(name="coming", reserved_bytes=GB // 2),
    ],
)


QUANTIZE_DEFAULTS = {"bits": 4, "group_size": 64, "mode": "affine"}


@define(eq=False)
class StandInModels:
    """Models that load at once, unless `failure` says otherwise."""

    statuses: dict[str, ModelStatus] = field(factory=lambda: {status.info.id: status for status in (LOADED, ON_DISK)})
    asked: list[tuple[str, LoadOptions]] = field(factory=list)
    report: MemoryReport = REPORT
    failure: LmxError | None = None

    async def list(self) -> Sequence[ModelStatus]:
        return list(self.statuses.values())

    async def get(self, model_id: str, *, fresh: bool = False) -> ModelStatus:  # noqa: ARG002  as it is
        if model_id not in self.statuses:
            raise ModelNotFound(f"there is no model {model_id!r}", param="model")
        return self.statuses[model_id]

    async def load(self, model_id: str, options: LoadOptions = LoadOptions()) -> ModelStatus:  # noqa: B008  it is frozen
        status = await self.get(model_id)
        if self.failure is not None:
            raise self.failure
        self.asked.append((model_id, options))
        self.statuses[model_id] = evolve(status, state=ModelState.READY, memory_bytes=GB, backend="mlx")
        return self.statuses[model_id]

    async def unload(self, model_id: str) -> int:
        return (await self.get(model_id)).memory_bytes

    async def pin(self, model_id: str, *, pinned: bool) -> ModelStatus:
        self.statuses[model_id] = evolve(await self.get(model_id), pinned=pinned)
        return self.statuses[model_id]

    async def delete(self, model_id: str) -> int:
        status = await self.get(model_id)
        if status.state is ModelState.READY:
            raise Conflict(f"model {model_id!r} is loaded; unload it first", code="model_in_use", param="model")
        del self.statuses[model_id]
        return 123

    def memory(self) -> MemoryReport:
        return self.report


@define(eq=False)
class StandInDownloads:
    """Downloads of 3 KiB that have half come; `failure` is what the hub says."""

    statuses: dict[str, DownloadStatus] = field(factory=dict)
    offers: dict[str, tuple[DownloadRequest, LoadOptions | None]] = field(factory=dict)
    asked: list[tuple[DownloadRequest, LoadOptions | None]] = field(factory=list)
    failure: LmxError | None = None

    async def start(self, request: DownloadRequest, load: LoadOptions | None = None) -> DownloadStatus:
        if self.failure is not None:
            raise self.failure
        self.asked.append((request, load))
        known = next((one for one in self.statuses.values() if one.request.repo_id == request.repo_id), None)
        if known is not None:
            return evolve(known, joined=True)
        status = DownloadStatus(
            id=f"d{len(self.asked)}",
            request=request,
            state=DownloadState.DOWNLOADING,
            total_bytes=3072,
            downloaded_bytes=1536,
            files_total=2,
            files_completed=1,
            loads=load is not None,
        )
        self.statuses[status.id] = status
        return status

    async def offer(self, request: DownloadRequest, load: LoadOptions | None = None) -> DownloadOffer:
        if self.failure is not None:
            raise self.failure
        self.offers["dl-1"] = (request, load)
        return DownloadOffer(token="dl-1", request=request, size_bytes=3072, expires_s=600.0)

    async def confirm(self, token: str) -> DownloadStatus:
        if token not in self.offers:
            raise NotFound("there is no such token", code="token_not_found", param="confirmation_token")
        return await self.start(*self.offers.pop(token))

    def list(self) -> Sequence[DownloadStatus]:
        return list(self.statuses.values())

    def get(self, download_id: str) -> DownloadStatus:
        if download_id not in self.statuses:
            raise NotFound("there is no such download", code="download_not_found", param="download_id")
        return self.statuses[download_id]

    async def cancel(self, download_id: str) -> DownloadStatus:
        self.statuses[download_id] = evolve(self.get(download_id), state=DownloadState.CANCELLED)
        return self.statuses[download_id]


@define(eq=False)
class StandInJobs:
    """Jobs that run until they are cancelled; `kinds` are the names that plugins offer."""

    kinds: frozenset[str] = frozenset({"quantize", "download"})
    statuses: dict[str, JobStatus] = field(factory=dict)
    asked: list[Mapping[str, Any]] = field(factory=list)

    def start(self, name: str, arguments: Mapping[str, Any]) -> JobStatus:
        if name not in self.kinds:
            raise NotFound(f"there is no job {name!r}")
        self.asked.append(arguments)
        status = JobStatus(
            id=f"{name}-{len(self.statuses)}",
            name=name,
            arguments={**(QUANTIZE_DEFAULTS if name == "quantize" else {}), **arguments},
            state=JobState.RUNNING,
            fraction=0.25,
            note="layer 1",
            started_at=1000.0,
        )
        self.statuses[status.id] = status
        return status

    def list(self, name: str | None = None) -> Sequence[JobStatus]:
        return [status for status in reversed(self.statuses.values()) if name in {None, status.name}]

    def get(self, job_id: str) -> JobStatus:
        if job_id not in self.statuses:
            raise NotFound("there is no such job", code="job_not_found", param="job_id")
        return self.statuses[job_id]

    async def cancel(self, job_id: str) -> JobStatus:
        self.end(job_id, state=JobState.CANCELLED)
        return self.statuses[job_id]

    def end(self, job_id: str, **facts: Any) -> None:
        """It ends after half a minute."""
        self.statuses[job_id] = evolve(self.get(job_id), finished_at=1030.0, **facts)

"""The contract between the LMX kernel and its plugins.

Read `specs.py` first. A plugin imports what it needs from here and nothing from the kernel:

    from lmx_hookspecs import BackendSpec, hookimpl
"""

from lmx_hookspecs.capabilities import FIELD_CAPABILITIES, Capability, used_fields, without_fields
from lmx_hookspecs.commands import Command, CommandContext, CommandSpec
from lmx_hookspecs.config import ConfigSpec, Option, Requires, option, options_of
from lmx_hookspecs.constraints import ConstraintSpec, DialectParser, DialectSpec, TokenMask
from lmx_hookspecs.context import Context, Logger, Metrics, WorkerContext
from lmx_hookspecs.downloads import (
    Downloader,
    DownloadOffer,
    DownloadRequest,
    DownloadState,
    DownloadStatus,
    RemoteFile,
    RemoteModel,
)
from lmx_hookspecs.engines import (
    BackendSpec,
    Detokenizer,
    EngineDescription,
    StepEngine,
    TextEngine,
    Tokenizer,
    TokenPiece,
    TokenRequest,
    TrimmableEngine,
)
from lmx_hookspecs.errors import LmxError
from lmx_hookspecs.generation import (
    Generation,
    GenerationRequest,
    Message,
    Piece,
    Sampling,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from lmx_hookspecs.health import Health, HealthCheck
from lmx_hookspecs.http import (
    Arrival,
    Describable,
    JsonResponse,
    MiddlewareSpec,
    Request,
    Response,
    Route,
    StreamResponse,
    SurfaceSpec,
    TextResponse,
    arrival_of,
)
from lmx_hookspecs.jobs import JobSpec, JobState, JobStatus, Progress
from lmx_hookspecs.memory import WORKER_BYTES, Holding, MemoryNeed, MemoryReport
from lmx_hookspecs.models import (
    DeletableSource,
    LoadOptions,
    ModelInfo,
    ModelSource,
    ModelSourceSpec,
    ModelState,
    ModelStatus,
)
from lmx_hookspecs.presets import Preset, Stack
from lmx_hookspecs.reloading import Reconfigurable, ReloadReport
from lmx_hookspecs.retrieval import Chunk, Hit, RerankerSpec, RetrieverSpec
from lmx_hookspecs.scheduling import GuardSpec, Outcome, Scheduler, SchedulerSpec, Ticket
from lmx_hookspecs.services import EventsService, MetricsService, Sample, Services
from lmx_hookspecs.specs import CONTRACT_VERSION, PROJECT, hookimpl, hookspec

__all__ = [
    "CONTRACT_VERSION",
    "FIELD_CAPABILITIES",
    "PROJECT",
    "WORKER_BYTES",
    "Arrival",
    "BackendSpec",
    "Capability",
    "Chunk",
    "Command",
    "CommandContext",
    "CommandSpec",
    "ConfigSpec",
    "ConstraintSpec",
    "Context",
    "DeletableSource",
    "Describable",
    "Detokenizer",
    "DialectParser",
    "DialectSpec",
    "DownloadOffer",
    "DownloadRequest",
    "DownloadState",
    "DownloadStatus",
    "Downloader",
    "EngineDescription",
    "EventsService",
    "Generation",
    "GenerationRequest",
    "GuardSpec",
    "Health",
    "HealthCheck",
    "Hit",
    "Holding",
    "JobSpec",
    "JobState",
    "JobStatus",
    "JsonResponse",
    "LmxError",
    "LoadOptions",
    "Logger",
    "MemoryNeed",
    "MemoryReport",
    "Message",
    "Metrics",
    "MetricsService",
    "MiddlewareSpec",
    "ModelInfo",
    "ModelSource",
    "ModelSourceSpec",
    "ModelState",
    "ModelStatus",
    "Option",
    "Outcome",
    "Piece",
    "Preset",
    "Progress",
    "Reconfigurable",
    "ReloadReport",
    "RemoteFile",
    "RemoteModel",
    "Request",
    "Requires",
    "RerankerSpec",
    "Response",
    "RetrieverSpec",
    "Route",
    "Sample",
    "Sampling",
    "Scheduler",
    "SchedulerSpec",
    "Services",
    "Stack",
    "StepEngine",
    "StreamResponse",
    "SurfaceSpec",
    "TextEngine",
    "TextResponse",
    "Ticket",
    "TokenLogprob",
    "TokenMask",
    "TokenPiece",
    "TokenRequest",
    "Tokenizer",
    "ToolCallDelta",
    "TrimmableEngine",
    "Usage",
    "WorkerContext",
    "arrival_of",
    "hookimpl",
    "hookspec",
    "option",
    "options_of",
    "used_fields",
    "without_fields",
]

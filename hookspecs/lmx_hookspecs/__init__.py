"""The contract between the LMX kernel and its plugins.

Read `specs.py` first. A plugin imports what it needs from here and nothing from the kernel:

    from lmx_hookspecs import BackendSpec, hookimpl
"""

from lmx_hookspecs.capabilities import FIELD_CAPABILITIES, Capability, used_fields, without_fields
from lmx_hookspecs.commands import Command, CommandContext, CommandSpec
from lmx_hookspecs.config import ConfigSpec, Option, Requires, option, options_of
from lmx_hookspecs.constraints import ConstraintSpec, DialectParser, DialectSpec, TokenMask
from lmx_hookspecs.context import Context, Logger, Metrics, Services, WorkerContext
from lmx_hookspecs.engines import (
    BackendSpec,
    Detokenizer,
    EngineDescription,
    StepEngine,
    TextEngine,
    Tokenizer,
    TokenPiece,
    TokenRequest,
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
    JsonResponse,
    MiddlewareSpec,
    Request,
    Response,
    Route,
    StreamResponse,
    SurfaceSpec,
    TextResponse,
)
from lmx_hookspecs.jobs import JobSpec
from lmx_hookspecs.models import ModelInfo, ModelSource, ModelSourceSpec, ModelState, ModelStatus
from lmx_hookspecs.retrieval import Chunk, Hit, RerankerSpec, RetrieverSpec
from lmx_hookspecs.scheduling import GuardSpec, Outcome, Scheduler, SchedulerSpec, Ticket
from lmx_hookspecs.specs import CONTRACT_VERSION, PROJECT, hookimpl, hookspec

__all__ = [
    "CONTRACT_VERSION",
    "FIELD_CAPABILITIES",
    "PROJECT",
    "BackendSpec",
    "Capability",
    "Chunk",
    "Command",
    "CommandContext",
    "CommandSpec",
    "ConfigSpec",
    "ConstraintSpec",
    "Context",
    "Detokenizer",
    "DialectParser",
    "DialectSpec",
    "EngineDescription",
    "Generation",
    "GenerationRequest",
    "GuardSpec",
    "Health",
    "HealthCheck",
    "Hit",
    "JobSpec",
    "JsonResponse",
    "LmxError",
    "Logger",
    "Message",
    "Metrics",
    "MiddlewareSpec",
    "ModelInfo",
    "ModelSource",
    "ModelSourceSpec",
    "ModelState",
    "ModelStatus",
    "Option",
    "Outcome",
    "Piece",
    "Request",
    "Requires",
    "RerankerSpec",
    "Response",
    "RetrieverSpec",
    "Route",
    "Sampling",
    "Scheduler",
    "SchedulerSpec",
    "Services",
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
    "Usage",
    "WorkerContext",
    "hookimpl",
    "hookspec",
    "option",
    "options_of",
    "used_fields",
    "without_fields",
]

"""The kernel's system calls, as plugins see them through `ctx.services`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

from lmx_hookspecs.context import Metrics
from lmx_hookspecs.downloads import DownloadOffer, DownloadRequest, DownloadStatus
from lmx_hookspecs.embedding import EmbeddingRequest, Embeddings, Reranking, RerankRequest
from lmx_hookspecs.events import EventsService
from lmx_hookspecs.generation import Generation, GenerationRequest, TokenCount
from lmx_hookspecs.health import Health
from lmx_hookspecs.jobs import JobStatus
from lmx_hookspecs.memory import MemoryReport
from lmx_hookspecs.models import LoadOptions, ModelStatus
from lmx_hookspecs.presets import Preset, Stack
from lmx_hookspecs.reloading import ReloadReport

if TYPE_CHECKING:  # a dozen classes that nobody needs who only lists the plugins
    from lmx_hookspecs.retrieving import RetrievalService


class ModelsService(Protocol):
    """The model catalogue and life-cycle."""

    async def list(self) -> Sequence[ModelStatus]:
        """Every model: ready ones first, then by id."""

    async def get(self, model_id: str, *, fresh: bool = False) -> ModelStatus:
        """One model; raises ModelNotFound. `fresh` asks its engine what it holds now, for a second at most."""

    async def load(self, model_id: str, options: LoadOptions = LoadOptions()) -> ModelStatus:
        """Load, or wait for the load in progress; returns once it is ready.

        Options of a model that is loaded or loading already change what can still be changed: keep-alive and pin.
        Raises ModelNotFound, InsufficientMemory, UnsupportedParameter for a setting its backend does not honour.
        """

    async def unload(self, model_id: str) -> int:
        """Drain, stop the worker, and return the bytes that came back; cancels a load in progress.

        Raises ModelNotFound where there is nothing to unload.
        """

    async def pin(self, model_id: str, *, pinned: bool) -> ModelStatus:
        """Keep a loaded model from being evicted, or stop doing so; raises ModelNotFound when it is not loaded."""

    async def delete(self, model_id: str) -> int:
        """Delete a model's files and return the bytes freed.

        Raises ModelNotFound, and Conflict (`model_in_use`) while it is loaded or its source cannot delete.
        """

    def memory(self) -> MemoryReport:
        """The ledger: the machine, the budget, and who holds what."""


class PluginsService(Protocol):
    """What the loader found."""

    def list(self) -> Sequence[Mapping[str, Any]]:
        """One plain record per plugin: the facts of `lmx plugins list --json`."""


class HealthService(Protocol):
    """Runs the health checks of all plugins."""

    async def report(self) -> Mapping[str, Health]:
        """Each check's name and its answer; a check that times out is not ok."""

    async def ready(self) -> Health:
        """Whether the server should get traffic: every critical check and every auto-loaded model."""


class RoutingService(Protocol):
    """From the name in a request to an ordered list of model ids."""

    async def resolve(self, name: str) -> Sequence[str]:
        """Ids to try in order; raises ModelNotFound. `name` is an id, an alias, `auto` or `preset:<name>`."""

    def aliases(self) -> Mapping[str, Sequence[str]]:
        """Every alias with the ids it stands for: those of the configuration, of presets, and of the active stack."""

    def default_model(self) -> str | None:
        """The configured default, which `auto` prefers."""


@frozen
class Sample:
    """One number of the Prometheus page, such as `lmx_requests_total`."""

    name: str
    labels: Mapping[str, str]
    value: float


class MetricsService(Metrics, Protocol):
    """Prometheus instruments, and what they stand at; gauges of the server itself are read at that moment."""

    def render(self) -> bytes:
        """Everything in the Prometheus text format 0.0.4."""

    def samples(self, *names: str) -> Sequence[Sample]:
        """The samples of these names; without names, of all."""


class DownloadsService(Protocol):
    """Models on their way from a hub. A model is known by its repository's name."""

    async def start(self, request: DownloadRequest, load: LoadOptions | None = None) -> DownloadStatus:
        """Begin, or find the one in progress; with `load`, the model is loaded once it is there.

        Raises ModelNotFound, Unavailable (`hub_unreachable`, `no_downloader`) and InsufficientStorage.
        """

    async def offer(self, request: DownloadRequest, load: LoadOptions | None = None) -> DownloadOffer:
        """A token with which `confirm` starts the download; raises what `start` raises."""

    async def confirm(self, token: str) -> DownloadStatus:
        """Start what was offered; a token works once. Raises NotFound (`token_not_found`, `token_expired`)."""

    def list(self) -> Sequence[DownloadStatus]:
        """Newest first; the ended ones of this run are kept up to a bound."""

    def get(self, download_id: str) -> DownloadStatus:
        """One; raises NotFound (`download_not_found`)."""

    async def cancel(self, download_id: str) -> DownloadStatus:
        """End it; what has come stays on disk, and a later download goes on from there."""


class JobsService(Protocol):
    """Long work, each in a process of its own."""

    def start(self, name: str, arguments: Mapping[str, Any]) -> JobStatus:
        """Begin a job of the JobSpec `name`; raises InvalidRequest for bad arguments, NotFound for an unknown name."""

    def list(self, name: str | None = None) -> Sequence[JobStatus]:
        """Newest first; the ended ones are kept up to a bound."""

    def get(self, job_id: str) -> JobStatus:
        """One; raises NotFound (`job_not_found`)."""

    async def cancel(self, job_id: str) -> JobStatus:
        """End its process; returns once it is gone. An ended job is left as it is."""

    async def wait(self, job_id: str) -> JobStatus:
        """Once it has ended, however it did."""


class PresetsService(Protocol):
    """Named ways to ask a model."""

    def list(self) -> Sequence[Preset]:
        """By name."""

    def get(self, name: str) -> Preset:
        """One; raises ModelNotFound, since `preset:<name>` stands where a model's id does."""

    async def reload(self) -> Sequence[Preset]:
        """Read the folder again, with the routing aliases that its presets bring."""

    def skipped(self) -> Mapping[str, str]:
        """Files of the folder that are no presets, and why."""


class StacksService(Protocol):
    """Stack presets: which model plays which role."""

    def list(self) -> Sequence[Stack]:
        """By name."""

    def active(self) -> str | None:
        """The name of the stack whose roles are in force."""

    async def activate(self, name: str) -> Stack:
        """Load the models of all its roles and point the roles' aliases at them: all or nothing.

        Raises NotFound (`stack_not_found`), or what the load that failed raised, after unloading what this call loaded.
        """


class ConfigService(Protocol):
    """The configuration in force."""

    def section(self, name: str) -> Any:
        """A top-level section's validated instance."""

    def plain(self) -> Mapping[str, Any]:
        """Everything as plain data, secrets masked."""

    def origins(self) -> Mapping[str, str]:
        """Where each key of `plain` was set, by its dotted path."""


class Services(Protocol):
    """The kernel's system calls. Hooks of later features add to them."""

    @property
    def models(self) -> ModelsService:
        """Catalogue and life-cycle."""

    @property
    def plugins(self) -> PluginsService:
        """What the loader found."""

    @property
    def health(self) -> HealthService:
        """Health checks."""

    @property
    def routing(self) -> RoutingService:
        """Names to models."""

    @property
    def events(self) -> EventsService:
        """The event bus."""

    @property
    def metrics(self) -> MetricsService:
        """Prometheus instruments."""

    @property
    def config(self) -> ConfigService:
        """The configuration in force."""

    @property
    def downloads(self) -> DownloadsService:
        """Downloads from hubs."""

    @property
    def jobs(self) -> JobsService:
        """Long work in processes of its own."""

    @property
    def presets(self) -> PresetsService:
        """Presets."""

    @property
    def stacks(self) -> StacksService:
        """Stack presets."""

    @property
    def retrieval(self) -> "RetrievalService":
        """Documents and what is found in them."""

    async def reload(self) -> ReloadReport:
        """Read the configuration again, validate it, and take over what can change while running: all or nothing.

        Raises ConfigError with every problem; then nothing has changed.
        """

    async def generate(self, request: GenerationRequest) -> Generation:
        """Route, admit and lease; returns once a model holds the request, before its first piece.

        Raises an LmxError whose HTTP status is still free to be sent.
        """

    async def count_tokens(self, request: GenerationRequest) -> TokenCount:
        """Count the prompts by the model's own tokenizer and template, on the way of a generation; nothing is made.

        Raises what `generate` raises, and UnsupportedParameter (`model`) where the engine cannot only count.
        """

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Embed on the way of a generation: routed, admitted, leased, guarded and accounted for.

        Raises EngineFailed (`helper_node_unavailable`), Unavailable (`embedding_unavailable`), ModelNotFound.
        """

    async def rerank(self, request: RerankRequest) -> Reranking:
        """Rerank on the way of a generation.

        Raises EngineFailed (`helper_node_unavailable`), Unavailable (`reranking_unavailable`), ModelNotFound.
        """

    def describe(self) -> Mapping[str, Any]:
        """What every long-lived object says of itself: `/admin/stack`."""

"""The routes of `/admin`."""

from collections.abc import Sequence
from functools import partial

from lmx_admin import (
    benchmark,
    config,
    downloads,
    events,
    health,
    helpers,
    jobs,
    loading,
    memory,
    metrics,
    models,
    performance,
    plugins,
    presets,
    quantize,
    stack,
)
from lmx_hookspecs import Route

_get = partial(Route, method="GET", auth="admin", shed=False)
_post = partial(Route, method="POST", auth="admin", shed=False)
_delete = partial(Route, method="DELETE", auth="admin", shed=False)

SERVER = (
    _get(
        path="/admin/status",
        handler=health.status,
        summary="Uptime, loaded models, memory and requests",
        answer=health.StatusAnswer,
    ),
    _get(
        path="/admin/health",
        handler=health.health,
        summary="What is wrong, if anything; always answers 200",
        answer=health.HealthAnswer,
    ),
    _get(
        path="/admin/memory",
        handler=memory.memory,
        summary="Memory: the machine's, the budget, and who holds what",
        answer=memory.MemoryAnswer,
    ),
    _get(
        path="/admin/metrics",
        handler=metrics.page,
        summary="Prometheus metrics",
        content_type="text/plain",
    ),
    _get(
        path="/admin/metrics/json",
        handler=metrics.summary,
        summary="Requests, errors and tokens since the start, per model and per client",
        answer=metrics.MetricsSummary,
    ),
    _get(
        path="/admin/events",
        handler=events.events,
        summary="What happens in the server, as it happens",
        query=events.EventsQuery,
        content_type="text/event-stream",
    ),
    _get(
        path="/admin/plugins",
        handler=plugins.plugins,
        summary="Every installed plugin and its status",
        answer=plugins.PluginsAnswer,
    ),
    _get(
        path="/admin/config",
        handler=config.show,
        summary="The configuration in force, and where each key was set",
        answer=config.ConfigAnswer,
    ),
    _post(
        path="/admin/config/reload",
        handler=config.reload,
        summary="Read the configuration files again: all or nothing",
        answer=config.ReloadAnswer,
    ),
)

STACK = (
    _get(
        path="/admin/stack",
        handler=stack.stack,
        summary="Roles and models, queues, caches, workers: what everything says of itself",
        answer=stack.StackAnswer,
    ),
    _post(
        path="/admin/stack/activate",
        handler=stack.activate,
        summary="Load the models of a stack preset and point its roles at them: all or nothing",
        body=stack.StackToActivate,
        answer=stack.StackActivated,
    ),
    _get(
        path="/admin/predictor",
        handler=stack.predictor,
        summary="Which model is likely to be asked for next, and why",
        answer=stack.PredictorAnswer,
    ),
    _get(
        path="/admin/helpers",
        handler=helpers.helpers,
        summary="Helper nodes: how they are just now, and how their calls went",
        answer=helpers.HelpersAnswer,
    ),
    _get(path="/admin/presets", handler=presets.listing, summary="Every preset", answer=presets.PresetsAnswer),
    _get(path="/admin/presets/{name:path}", handler=presets.one, summary="One preset", answer=presets.PresetAnswer),
    _post(
        path="/admin/presets/reload",
        handler=presets.reload,
        summary="Read the presets folder again",
        answer=presets.PresetsReloaded,
    ),
)

MODELS = (
    _get(path="/admin/models", handler=models.listing, summary="Every model and its state", answer=models.ModelsAnswer),
    _get(
        path="/admin/models/available",
        handler=models.available,
        summary="Every model on disk",
        answer=Sequence[models.AvailableModel],
    ),
    _get(
        path="/admin/models/{id:path}",
        handler=models.one,
        summary="Everything that is known of one model",
        answer=models.KnownModel,
    ),
    _get(
        path="/admin/models/{id:path}/performance",
        handler=performance.performance,
        summary="The settings of one model, and what holds for all",
        answer=performance.PerformanceAnswer,
    ),
    _delete(
        path="/admin/models/{id:path}",
        handler=models.delete,
        summary="Delete the files of a model that is not loaded",
        answer=models.DeleteAnswer,
    ),
    _post(
        path="/admin/models/{id:path}/pin",
        handler=models.pin,
        summary="Keep a loaded model from being unloaded to make room",
        body=models.Pin,
        answer=models.PinAnswer,
    ),
    _delete(
        path="/admin/models/{id:path}/pin",
        handler=models.unpin,
        summary="Let a loaded model be unloaded to make room",
        answer=models.PinAnswer,
    ),
    _post(
        path="/admin/models/load",
        handler=loading.load,
        summary="Load a model; answers once it is ready, or with an offer to download it",
        body=loading.ModelToLoad,
        answer=loading.LoadAnswer,
        answers={loading.ACCEPTED: loading.DownloadRequired | loading.DownloadStarted},
    ),
    _post(
        path="/admin/models/load/confirm",
        handler=loading.confirm,
        summary="Download the model that was offered, then load it",
        body=loading.Confirmation,
        answers={loading.ACCEPTED: loading.DownloadStarted},
    ),
    _post(
        path="/admin/models/unload",
        handler=loading.unload,
        summary="Let a model's requests finish, then stop its worker; cancels a load in progress",
        body=loading.ModelToUnload,
        answer=loading.UnloadAnswer,
    ),
)

DOWNLOADS = (
    _post(
        path="/admin/models/download",
        handler=downloads.start,
        summary="Download a model from the hub",
        body=downloads.ModelToDownload,
        answer=downloads.DownloadAnswer,
    ),
    _get(
        path="/admin/models/downloads",
        handler=downloads.listing,
        summary="The downloads since the start",
        answer=downloads.DownloadsAnswer,
    ),
    _get(
        path="/admin/models/download/{download_id}/progress",
        handler=downloads.progress,
        summary="How far a download is",
        answer=downloads.DownloadProgress,
    ),
    _delete(
        path="/admin/models/download/{download_id}",
        handler=downloads.cancel,
        summary="Cancel a download; what has come is kept for the next",
        answer=downloads.DownloadProgress,
    ),
    _post(
        path="/admin/models/download/{download_id}/cancel",
        handler=downloads.cancel,
        summary="Cancel a download; what has come is kept for the next",
        answer=downloads.DownloadProgress,
    ),
)

WORK = (
    _post(
        path="/admin/benchmark",
        handler=benchmark.benchmark,
        summary="Measure a model: time to the first token, and tokens per second",
        body=benchmark.Benchmark,
        answer=benchmark.BenchmarkAnswer,
    ),
    _post(
        path="/admin/quantize",
        handler=quantize.start,
        summary="Make a smaller model of one on disk, in a process of its own",
        body=quantize.ModelToQuantize,
        answer=quantize.QuantizeAnswer,
    ),
    _get(
        path="/admin/quantize",
        handler=quantize.listing,
        summary="The quantise jobs since the start",
        answer=quantize.QuantizeJobs,
    ),
    _get(
        path="/admin/quantize/{job_id}",
        handler=quantize.one,
        summary="How far a quantise job is, and what it made",
        answer=quantize.QuantizeAnswer,
    ),
    _post(
        path="/admin/quantize/{job_id}/cancel",
        handler=quantize.cancel,
        summary="End a quantise job",
        answer=quantize.QuantizeAnswer,
    ),
    _get(path="/admin/jobs", handler=jobs.listing, summary="Every job since the start", answer=jobs.JobsAnswer),
    _get(path="/admin/jobs/{job_id}", handler=jobs.one, summary="How far a job is", answer=jobs.JobAnswer),
    _delete(path="/admin/jobs/{job_id}", handler=jobs.cancel, summary="End a job", answer=jobs.JobAnswer),
)

ROUTES = (*SERVER, *STACK, *MODELS, *DOWNLOADS, *WORK)

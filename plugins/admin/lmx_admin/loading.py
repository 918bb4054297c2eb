"""Models into memory and out of it; one that is not on this machine is offered for download."""

import re
from collections.abc import Mapping
from time import perf_counter
from typing import Any, Literal

from attrs import frozen

from lmx_admin.wire import gb, human_size, named_in_error, renamed_in_error, reply
from lmx_hookspecs import (
    Context,
    DownloadRequest,
    DownloadStatus,
    LoadOptions,
    ModelState,
    ModelStatus,
    Request,
    Response,
    option,
)
from lmx_hookspecs.errors import ModelNotFound

OVERRIDES = "performance_overrides"
CONFIRM_URL = "/admin/models/load/confirm"
REPOSITORY = re.compile(r"[A-Za-z0-9_][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
ACCEPTED = 202


@frozen(kw_only=True)
class ModelToLoad:
    """The body of `POST /admin/models/load`."""

    model_id: str = option(doc="id of the model, as `GET /admin/models` gives it", min_length=1, max_length=1024)
    max_context_length: int | None = option(None, "tokens of context, at most what the model was made for", ge=1)
    auto_download: bool = option(default=False, doc="download it, where it is not here, without asking back")
    performance_overrides: dict[str, Any] | None = option(None, "performance settings of this load, such as kv_bits")
    keep_alive_sec: float | None = option(
        None, "seconds of idleness after which it is unloaded; 0 is never, null is what holds for it anyway", ge=0
    )
    pinned: bool | None = option(None, "never unload it to make room; null is what holds for it anyway")

    def options(self) -> LoadOptions:
        """What the life-cycle is asked for."""
        return LoadOptions(
            keep_alive_s=self.keep_alive_sec,
            pinned=self.pinned,
            performance=self.performance_overrides or {},
            context_length=self.max_context_length,
        )

    def field_names(self) -> Mapping[str, str]:
        """What this body calls the fields at which a load may fail."""
        return {"model": "model_id"} | {name: f"{OVERRIDES}.{name}" for name in self.performance_overrides or ()}


@frozen(kw_only=True)
class LoadAnswer:
    """The model's own memory and how long its load took; both null when it was loaded already. GB are 10^9 bytes."""

    success: bool = True
    model_id: str
    memory_after_load_gb: float | None = None
    time_to_load_ms: float | None = None


@frozen(kw_only=True)
class DownloadRequired:
    """The model is not here: send the token to `confirm_url` to have it downloaded and then loaded."""

    status: Literal["download_required"] = "download_required"
    model_id: str
    confirmation_token: str
    confirm_url: str = CONFIRM_URL
    estimated_size_bytes: int
    estimated_size_human: str
    expires_sec: float
    message: str = "Model not found locally. Confirm download?"


@frozen(kw_only=True)
class DownloadStarted:
    """The model is on its way, and is loaded once it is here."""

    status: Literal["downloading"] = "downloading"
    model_id: str
    download_id: str
    progress_url: str
    message: str
    joined: bool
    """Whether it was in progress already."""


@frozen(kw_only=True)
class Confirmation:
    """The body of `POST /admin/models/load/confirm`."""

    confirmation_token: str = option(doc="the token of an answer `download_required`", min_length=1, max_length=256)


@frozen(kw_only=True)
class ModelToUnload:
    """The body of `POST /admin/models/unload`."""

    model_id: str = option(doc="id of a loaded model", min_length=1, max_length=1024)


@frozen(kw_only=True)
class UnloadAnswer:
    """What came back, in 10^9 bytes."""

    success: bool = True
    model_id: str
    memory_freed_gb: float


async def load(ctx: Context, request: Request) -> Response:
    """Load a model, find that it is loaded, or offer to download it."""
    asked: ModelToLoad = request.body
    with renamed_in_error(asked.field_names()):
        before = await _here(ctx, asked.model_id)
        if before is None:
            return await _fetched(ctx, asked)
        began_s = perf_counter()
        status = await ctx.services.models.load(asked.model_id, asked.options())
    if before.state is ModelState.READY:
        return reply(LoadAnswer(model_id=asked.model_id))
    took_ms = (perf_counter() - began_s) * 1000
    return reply(
        LoadAnswer(
            model_id=asked.model_id,
            memory_after_load_gb=gb(status.memory_bytes),
            time_to_load_ms=round(took_ms, 1),
        )
    )


async def confirm(ctx: Context, request: Request) -> Response:
    """Start the download that was offered."""
    return _started(await ctx.services.downloads.confirm(request.body.confirmation_token))


async def unload(ctx: Context, request: Request) -> Response:
    """Unload a model, or cancel its load."""
    model_id = request.body.model_id
    with named_in_error("model_id"):
        freed_bytes = await ctx.services.models.unload(model_id)
    return reply(UnloadAnswer(model_id=model_id, memory_freed_gb=gb(freed_bytes)))


async def _here(ctx: Context, model_id: str) -> ModelStatus | None:
    """The model; None where a hub may have it. Raises ModelNotFound for an id that no repository can have."""
    try:
        status = await ctx.services.models.get(model_id)
    except ModelNotFound:
        if not is_repository(model_id):
            raise
        return None
    return None if status.state is ModelState.DOWNLOADING else status


async def _fetched(ctx: Context, asked: ModelToLoad) -> Response:
    wanted = DownloadRequest(repo_id=asked.model_id)
    if asked.auto_download or _is_downloading(ctx, asked.model_id):
        return _started(await ctx.services.downloads.start(wanted, asked.options()))
    offer = await ctx.services.downloads.offer(wanted, asked.options())
    answer = DownloadRequired(
        model_id=asked.model_id,
        confirmation_token=offer.token,
        estimated_size_bytes=offer.size_bytes,
        estimated_size_human=human_size(offer.size_bytes),
        expires_sec=offer.expires_s,
    )
    return reply(answer, ACCEPTED)


def _is_downloading(ctx: Context, model_id: str) -> bool:
    """Whether there is nothing left to confirm."""
    return any(
        download.request.repo_id == model_id and download.state == "downloading"
        for download in ctx.services.downloads.list()
    )


def _started(download: DownloadStatus) -> Response:
    model_id = download.request.repo_id
    answer = DownloadStarted(
        model_id=model_id,
        download_id=download.id,
        progress_url=f"/admin/models/download/{download.id}/progress",
        message=f"Downloading {model_id}; it will auto-load once it is here",
        joined=download.joined,
    )
    return reply(answer, ACCEPTED)


def is_repository(model_id: str) -> bool:
    """Whether a hub could have a repository of that name: `org/name`."""
    return REPOSITORY.fullmatch(model_id) is not None and ".." not in model_id and "--" not in model_id

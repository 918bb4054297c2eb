"""GET /api/tags and /api/ps, POST /api/show: the models there are, and those that are loaded."""

import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from lmx_hookspecs import Capability, Context, JsonResponse, ModelState, ModelStatus, Request, Response, TextResponse
from lmx_hookspecs.errors import InvalidRequest
from lmx_ollama.names import real_name, shown, timestamp

API_VERSION = "0.12.6"
"""Of Ollama, whose API this follows: clients compare it."""
NEVER_S = 100 * 365 * 24 * 3600.0
"""How far away a time is that never comes."""
CAPABILITIES: Mapping[str, str] = {
    Capability.COMPLETION: "completion",
    Capability.CHAT: "completion",
    Capability.TOOLS: "tools",
    Capability.REASONING_EFFORT: "thinking",
    Capability.SUFFIX: "insert",
    Capability.VISION: "vision",
    Capability.EMBED: "embedding",
}


async def running(_: Context, __: Request) -> Response:
    """What clients look for."""
    return TextResponse(body="Ollama is running")


async def version(_: Context, __: Request) -> Response:
    """The version of the API."""
    return JsonResponse(body={"version": API_VERSION})


async def tags(ctx: Context, _: Request) -> Response:
    """Every model that can be asked for."""
    statuses = await ctx.services.models.list()
    return JsonResponse(body={"models": [_listed(status) for status in statuses]})


async def ps(ctx: Context, _: Request) -> Response:
    """The models that are loaded."""
    memory = ctx.services.config.section("memory")
    ttl_s = float(memory.ttl_seconds) if memory.ttl_enabled else None
    statuses = await ctx.services.models.list()
    ready = [status for status in statuses if status.state is ModelState.READY]
    return JsonResponse(body={"models": [{**_listed(status), **_loaded(status, ttl_s)} for status in ready]})


async def show(ctx: Context, request: Request) -> Response:
    """One model."""
    name = request.body.model or request.body.name
    if name is None:
        raise InvalidRequest("model is required", param="model")
    status = await ctx.services.models.get((await ctx.services.routing.resolve(await real_name(ctx, name)))[0])
    return JsonResponse(
        body={
            "modelfile": f"# made by LMX; it is not built from a Modelfile\nFROM {status.info.id}\n",
            "parameters": "\n".join(f"{name} {value:g}" for name, value in sorted(status.info.sampling.items())),
            "template": "",
            "details": _details(status),
            "model_info": _model_info(status),
            "capabilities": _capabilities(status),
            "modified_at": timestamp(status.info.created),
        }
    )


def _listed(status: ModelStatus) -> dict[str, Any]:
    info = status.info
    name = shown(info.id)
    identity = f"{info.id} {info.created} {info.size_bytes}"
    return {
        "name": name,
        "model": name,
        "modified_at": timestamp(info.created),
        "size": info.size_bytes,
        "digest": sha256(identity.encode()).hexdigest(),
        "details": _details(status),
    }


def _loaded(status: ModelStatus, ttl_s: float | None) -> Mapping[str, Any]:
    keep_s = ttl_s if status.keep_alive_s is None else status.keep_alive_s
    idle_since = max(status.last_used_at or 0.0, status.loaded_at or 0.0) or time.time()
    ends_at = idle_since + (min(keep_s, NEVER_S) if keep_s and not status.pinned else NEVER_S)
    return {
        "expires_at": timestamp(ends_at),
        "size": status.memory_bytes,
        "size_vram": status.memory_bytes,
        "context_length": status.context_length or 0,
    }


def _details(status: ModelStatus) -> Mapping[str, Any]:
    known = {**status.info.details, **status.details}
    family = str(known.get("architecture") or "")
    return {
        "parent_model": "",
        "format": status.info.format,
        "family": family,
        "families": [family] if family else [],
        "parameter_size": str(known.get("parameters") or ""),
        "quantization_level": str(known.get("quantization") or known.get("dtype") or ""),
    }


def _model_info(status: ModelStatus) -> Mapping[str, Any]:
    family = _details(status)["family"] or "unknown"
    context = status.context_length or status.info.context_length
    told: dict[str, Any] = {"general.architecture": family, "general.basename": status.info.id}
    return {**told, f"{family}.context_length": context} if context else told


def _capabilities(status: ModelStatus) -> Sequence[str]:
    able = status.capabilities or status.info.capabilities or frozenset()
    return sorted({name for capability, name in CAPABILITIES.items() if capability in able})

"""Looks at nodes: whether one is well, and which models it has."""

import json
from collections.abc import Mapping
from typing import Any

from lmx_hookspecs import LmxError
from lmx_hookspecs.errors import EngineFailed
from lmx_remote.failures import NONSENSE, failed
from lmx_remote.node import Node, Served

MODELS_PATH = "/v1/models"
USUAL_PATHS = ("/health", "/healthz", MODELS_PATH)
"""vLLM, SGLang and llama-server; LMX; everybody."""
NOT_HERE = frozenset({404, 405, 501})
"""Such an answer says nothing about the node's health: another path may."""
MOST_MODELS = 1000
"""Of one node."""
LONGEST_ID = 200
OURS = "remote"
"""The format of models that an LMX has from its own nodes."""


async def problem_of(node: Node, limit_s: float) -> str | None:
    """Why the node is not well, in words for operators; None for one that is."""
    paths = (node.health_path,) if node.health_path else USUAL_PATHS
    try:
        for path in paths:
            status, _ = await node.link.look(f"/{path.lstrip('/')}", limit_s)
            if status not in NOT_HERE:
                return None if 200 <= status < 300 else f"{path} answers {status}"
    except LmxError as error:
        return error.detail or error.message
    return f"nothing at {' or '.join(paths)}; set its health_path"


async def discover(node: Node, limit_s: float) -> Mapping[str, Served]:
    """The models that the node lists; raises EngineFailed where it lists none, or more than anybody could choose from.

    Of another LMX only models that are its own count: names for names would never come to an end.
    """
    status, body = await node.link.look(MODELS_PATH, limit_s)
    try:
        listed = json.loads(body)["data"]
        found = [_served(node, entry) for entry in listed if _is_own(entry)]
    except NONSENSE as error:
        raise _unlisted(node, status, error) from None
    if len(found) > MOST_MODELS:
        raise failed(node.name, f"lists {len(found)} models; name those that are wanted under models")
    return {served.name: served for served in found}


def _is_own(entry: Mapping[str, Any]) -> bool:
    lmx = entry.get("lmx") or {}
    return lmx.get("kind", "model") == "model" and lmx.get("format") != OURS


def _served(node: Node, entry: Mapping[str, Any]) -> Served:
    lmx = entry.get("lmx") or {}
    told = lmx.get("capabilities")
    length = node.context_length or lmx.get("context_length") or entry.get("max_model_len")
    name = entry["id"]
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_ID or not name.isprintable():
        raise ValueError(f"an id is no text of up to {LONGEST_ID} printable characters")
    return Served(
        name=name,
        capabilities=node.capabilities if told is None else node.capabilities & frozenset(told),
        context_length=length if isinstance(length, int) else None,
    )


def _unlisted(node: Node, status: int, error: Exception) -> EngineFailed:
    return failed(
        node.name, f"does not list its models (status {status}); name them under models", f"{type(error).__name__}"
    )

"""The keys of the plugin: how nodes are looked after, and which there are."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit

from attrs import Attribute, frozen

from lmx_hookspecs import Capability, option

Role = Literal["chat", "completion", "embedding", "rerank"]

live = partial(option, restart=False)
"""Nodes come, go and change while the server runs."""
PLACES = 64
"""Requests that a node gets at once."""
EXAMPLE: Mapping[str, Any] = {
    "gpu-box": {
        "url": "http://192.168.1.20:8000",
        "name": "vLLM in the cellar",
        "roles": ["chat", "completion"],
        "models": ["qwen3-32b"],
        "api_key_env": "GPU_BOX_KEY",
    }
}


@frozen(kw_only=True)
class RemoteConfig:
    """How nodes are looked after."""

    health_interval_s: float = option(30.0, "seconds between two looks at a node", ge=0.1, le=3600, restart=False)
    health_timeout_s: float = option(
        1.5, "seconds that a node may take to say that it is well", gt=0, le=60, restart=False
    )
    connect_timeout_s: float = option(5.0, "seconds that a connection to a node may take", gt=0, le=60)


def _check_url(attribute: "Attribute[str]", value: str) -> None:
    """Raises ValueError for what is no address, and for one with a secret in it: addresses are shown."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("must be an address such as http://192.168.1.20:8000", attribute)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must hold no user, password or query; a key stands under api_key", attribute)


@frozen(kw_only=True)
class HelperNode:
    """A node that embeds or reranks for everybody."""

    url: str = live(doc="where the node listens; /v1 is added", min_length=1)
    model: str = live(doc="the node's name for its model", min_length=1)
    timeout_sec: float = live(10.0, "seconds that one request may take", ge=1, le=120)
    fallback: Literal["local", "skip"] = live(
        "local", "when the node cannot answer: local asks the model that the request names, skip is a 502"
    )
    health_path: str | None = live(None, "where the node says that it is well; null tries the usual places")
    api_key: str | None = live(None, "sent to the node as a bearer token", min_length=1, secret=True)
    api_key_env: str | None = live(None, "the environment variable that holds it instead", min_length=1)

    @url.validator
    def _is_an_address(self, attribute: "Attribute[str]", value: str) -> None:
        _check_url(attribute, value)


@frozen(kw_only=True)
class HelperNodes:
    """Nodes that embed and rerank for everybody: each null, or a mapping with at least `url` and `model`."""

    embedding: HelperNode | None = option(
        None,
        "answers /v1/embeddings: url, model, timeout_sec, fallback (local or skip), api_key or api_key_env",
        restart=False,
    )
    reranking: HelperNode | None = option(None, "answers /v1/rerank: the same keys", restart=False)


@frozen(kw_only=True)
class BackendNode:
    """An OpenAI-compatible server whose models can be asked for as `<node>/<model>`, and by their own names."""

    url: str = live(doc="where the node listens; /v1 is added", min_length=1)
    name: str = live("", "for people")
    gpu: str = live("", "for people")
    vram_gb: float = live(0.0, "for people", ge=0)
    roles: Sequence[Role] = live((), "what its models do; empty is chat and completion")
    models: Sequence[str] | Mapping[str, str] = live(
        (), "its models, or our names for them and theirs; empty asks the node again and again"
    )
    capabilities: Sequence[Capability] | None = live(
        None, "which request fields it honours, by capability; null is what every OpenAI-compatible server should"
    )
    context_length: int | None = live(None, "tokens of context of its models, for people", ge=1)
    timeout_s: float = live(60.0, "seconds of silence after which a request counts as failed", gt=0, le=3600)
    max_concurrent: int = live(PLACES, "requests that it gets at once; further ones wait", ge=1, le=1024)
    health_path: str | None = live(None, "where the node says that it is well; null tries the usual places")
    api_key: str | None = live(None, "sent to the node as a bearer token", min_length=1, secret=True)
    api_key_env: str | None = live(None, "the environment variable that holds it instead", min_length=1)

    @url.validator
    def _is_an_address(self, attribute: "Attribute[str]", value: str) -> None:
        _check_url(attribute, value)

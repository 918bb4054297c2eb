"""All nodes of the configuration: a source of models, and the helpers among them."""

import asyncio
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from lmx_hookspecs import Capability, Context, Health, Helper, LmxError, Logger, ModelInfo
from lmx_hookspecs.errors import ConfigError, ModelNotFound
from lmx_remote.abilities import ASSUMED, abilities
from lmx_remote.catalogue import Endpoint, catalogue
from lmx_remote.config import PLACES, BackendNode, HelperNode, HelperNodes, RemoteConfig
from lmx_remote.link import Link, base_url
from lmx_remote.looking import discover, problem_of
from lmx_remote.node import Node, Served

FORMAT = "remote"
JITTER = 0.1
"""Share by which the pause between two looks varies, so that nodes are not asked all at the same time."""
NAME = re.compile(r"[^/\s\x00-\x1f]+")
HELPERS: Mapping[str, str] = {"embedding": Capability.EMBED, "reranking": Capability.RERANK}


@frozen
class HelperRole:
    """A node of `helper_nodes`, and what happens without it."""

    node: Node
    helper: Helper


@define(eq=False)
class Nodes:
    """A ModelSource with helpers, that looks at its nodes from `start` to `close`."""

    backends: Mapping[str, Node]
    helpers: Mapping[str, HelperRole]
    """By capability."""
    config: RemoteConfig
    log: Logger
    _watches: "list[asyncio.Task[None]]" = field(factory=list, init=False)

    def reconfigure(self, config: RemoteConfig) -> None:
        """Look at other times from now on; which nodes there are is read at the start."""
        self.config = config

    def models(self) -> Sequence[ModelInfo]:
        """What all nodes have, as far as it is known."""
        return [_info(model_id, endpoints) for model_id, endpoints in self._catalogue().items()]

    def find(self, model_id: str) -> ModelInfo | None:
        """The model of that id."""
        endpoints = self._catalogue().get(model_id)
        return _info(model_id, endpoints) if endpoints else None

    def helper(self, capability: str) -> Helper | None:
        """The node of `helper_nodes` for this."""
        role = self.helpers.get(capability)
        return role.helper if role else None

    def endpoints(self, model_id: str) -> Sequence[Endpoint]:
        """Where a model is served now; raises ModelNotFound where it no longer is."""
        endpoints = self._catalogue().get(model_id)
        if not endpoints:
            raise ModelNotFound(f"no node has model {model_id!r} any more; GET /v1/models lists what there is")
        return endpoints

    def shown_name(self, model_id: str) -> str:
        """What answers call a model: helpers by the name that the configuration gives; empty for its own id."""
        models = {role.helper.model: role.node.models for role in self.helpers.values()}
        return next(iter(models.get(model_id, ())), "")

    async def start(self) -> None:
        """Look at every node, at once and then again and again."""
        self._watches = [asyncio.create_task(self._watch(node), name=f"watch {node.name}") for node in self._all()]

    async def close(self) -> None:
        """Look no more, and give all connections back."""
        for watch in self._watches:
            watch.cancel()
        if self._watches:
            await asyncio.wait(self._watches)
        for node in self._all():
            await node.link.close()

    async def check(self) -> Health:
        """Look at every node now."""
        nodes = self._all()
        await asyncio.gather(*(self._look(node) for node in nodes))
        ill = [f"{node.name}: {node.last_error}" for node in nodes if not node.healthy]
        return Health(not ill, "; ".join(ill) or f"{len(nodes)} nodes answer")

    def describe(self) -> Mapping[str, Any]:
        """Every node, under the name of its section."""
        helpers = {role.node.name: role.node.describe([role.helper.model]) for role in self.helpers.values()}
        served = self._catalogue()
        backends = {
            name: node.describe([key for key, ends in served.items() if any(end.node is node for end in ends)])
            for name, node in self.backends.items()
        }
        return {"helper_nodes": helpers, "backends": backends}

    def _all(self) -> Sequence[Node]:
        return [*self.backends.values(), *(role.node for role in self.helpers.values())]

    def _catalogue(self) -> Mapping[str, Sequence[Endpoint]]:
        return catalogue(list(self.backends.values()), [role.node for role in self.helpers.values()])

    async def _watch(self, node: Node) -> None:
        while True:
            try:
                await self._look(node)
            except Exception as error:  # a stranger's answer may break us: it is looked at again all the same
                self.log.error("node_watch_failed", node=node.name, exc_info=error)
            jitter = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  it guards nothing
            await asyncio.sleep(self.config.health_interval_s * jitter)

    async def _look(self, node: Node) -> None:
        was = node.healthy
        problem = await problem_of(node, self.config.health_timeout_s)
        if problem is None and node.discovers:
            problem = await self._discover(node)
        node.looked_at(problem)
        if node.healthy is not was:
            tell = self.log.info if node.healthy else self.log.warning
            tell("node_healthy" if node.healthy else "node_unhealthy", node=node.name, reason=problem)

    async def _discover(self, node: Node) -> str | None:
        try:
            node.models = await discover(node, self.config.health_timeout_s)
        except LmxError as error:
            return error.detail or error.message
        return None


def nodes_of(ctx: Context, environment: Mapping[str, str]) -> Nodes:
    """The nodes of the sections `helper_nodes` and `backends`; raises ConfigError."""
    config: RemoteConfig = ctx.config
    helper_nodes: HelperNodes = ctx.services.config.section("helper_nodes")
    backends: Mapping[str, BackendNode] = ctx.services.config.section("backends")
    key_of = _key_reader(environment, ctx.log)
    helpers = {
        capability: _helper(role, getattr(helper_nodes, role), capability, config, key_of)
        for role, capability in HELPERS.items()
        if getattr(helper_nodes, role) is not None
    }
    return Nodes(
        {name: _backend(name, node, config, key_of) for name, node in backends.items()}, helpers, config, ctx.log
    )


KeyReader = Callable[[str, Any], str | None]


def _key_reader(environment: Mapping[str, str], log: Logger) -> KeyReader:
    def key_of(name: str, node: BackendNode | HelperNode) -> str | None:
        if node.api_key is not None or node.api_key_env is None:
            return node.api_key
        key = environment.get(node.api_key_env)
        if not key:
            log.warning("node_key_missing", node=name, variable=node.api_key_env)
        return key or None

    return key_of


def _helper(role: str, node: HelperNode, capability: str, config: RemoteConfig, key_of: KeyReader) -> HelperRole:
    able = frozenset({capability, Capability.TOKEN_PROMPTS})
    made = Node(
        name=role,
        link=_link(role, node, config, key_of, silence_s=node.timeout_sec),
        capabilities=able,
        models={node.model: Served(name=node.model, capabilities=able)},
        max_concurrent=PLACES,
        total_s=node.timeout_sec,
        health_path=node.health_path,
        facts={"model": node.model, "fallback": node.fallback},
    )
    return HelperRole(made, Helper(model=f"{role}/{node.model}", fallback=node.fallback))


def _backend(name: str, node: BackendNode, config: RemoteConfig, key_of: KeyReader) -> Node:
    if not NAME.fullmatch(name):
        raise ConfigError(f"backends: {name!r} cannot be part of a model's id; take a name without spaces and slashes")
    able = abilities(node.roles, ASSUMED if node.capabilities is None else node.capabilities)
    names = node.models if isinstance(node.models, Mapping) else {model: model for model in node.models}
    return Node(
        name=name,
        link=_link(name, node, config, key_of, silence_s=node.timeout_s, connections=node.max_concurrent),
        capabilities=able,
        models={
            ours: Served(name=theirs, capabilities=able, context_length=node.context_length)
            for ours, theirs in names.items()
        },
        discovers=not names,
        context_length=node.context_length,
        max_concurrent=node.max_concurrent,
        total_s=node.timeout_s,
        health_path=node.health_path,
        facts={"name": node.name, "gpu": node.gpu, "vram_gb": node.vram_gb, "roles": list(node.roles)},
    )


def _link(name: str, node: Any, config: RemoteConfig, key_of: KeyReader, **options: Any) -> Link:
    return Link(
        node=name,
        url=base_url(node.url),
        key=key_of(name, node),
        connect_s=config.connect_timeout_s,
        **options,
    )


def _info(model_id: str, endpoints: Sequence[Endpoint]) -> ModelInfo:
    lengths = [end.served.context_length for end in endpoints if end.served.context_length]
    able = frozenset.intersection(*(end.served.capabilities for end in endpoints))
    nodes = [end.node for end in endpoints]
    return ModelInfo(
        id=model_id,
        format=FORMAT,
        source=FORMAT,
        context_length=min(lengths, default=None),
        capabilities=able,
        trouble=_trouble(nodes),
        details={
            "node": ",".join(node.name for node in nodes),
            "model": endpoints[0].served.name,
            "healthy": _healthy(nodes),
        },
    )


def _healthy(nodes: Sequence[Node]) -> bool | None:
    """Whether any of them is well; None while that is not known of all."""
    if any(node.healthy for node in nodes):
        return True
    return None if any(node.healthy is None for node in nodes) else False


def _trouble(nodes: Sequence[Node]) -> str | None:
    if _healthy(nodes) is not False:
        return None
    return "; ".join(f"{node.name} is down: {node.last_error}" for node in nodes)

"""Makes nodes from what the configuration says of them."""

import re
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from lmx_hookspecs import Capability, Helper, Logger
from lmx_hookspecs.errors import ConfigError
from lmx_remote.abilities import ASSUMED, abilities
from lmx_remote.config import PLACES, BackendNode, HelperNode, HelperNodes
from lmx_remote.link import Link, base_url
from lmx_remote.node import Node, Served

NAME = re.compile(r"[^/\s\x00-\x1f]+")
HELPERS: Mapping[str, str] = {"embedding": Capability.EMBED, "reranking": Capability.RERANK}


@frozen
class HelperRole:
    """A node of `helper_nodes`, and what happens without it."""

    node: Node
    helper: Helper


@frozen
class NodeMaker:
    """One for all nodes; a node whose configuration is as it was stays the node that it is."""

    environment: Mapping[str, str]
    log: Logger
    connect_s: float

    def backends(self, section: Mapping[str, BackendNode], now: Mapping[str, Node]) -> Mapping[str, Node]:
        """Those of `backends`, by name; raises ConfigError."""
        return {name: _unchanged(now.get(name), node) or self._backend(name, node) for name, node in section.items()}

    def helpers(self, section: HelperNodes, now: Mapping[str, HelperRole]) -> Mapping[str, HelperRole]:
        """Those of `helper_nodes`, by capability."""
        wanted = {role: getattr(section, role) for role in HELPERS}
        return {
            HELPERS[role]: self._helper(role, node, now.get(HELPERS[role]))
            for role, node in wanted.items()
            if node is not None
        }

    def _helper(self, role: str, node: HelperNode, now: HelperRole | None) -> HelperRole:
        able = frozenset({HELPERS[role], Capability.TOKEN_PROMPTS})
        made = _unchanged(now.node if now else None, node) or Node(
            name=role,
            origin=node,
            link=self._link(role, node, silence_s=node.timeout_sec),
            capabilities=able,
            models={node.model: Served(name=node.model, capabilities=able)},
            max_concurrent=PLACES,
            total_s=node.timeout_sec,
            health_path=node.health_path,
            facts={"model": node.model, "fallback": node.fallback},
        )
        return HelperRole(made, Helper(model=f"{role}/{node.model}", fallback=node.fallback))

    def _backend(self, name: str, node: BackendNode) -> Node:
        if not NAME.fullmatch(name):
            raise ConfigError(
                f"backends: {name!r} cannot be part of a model's id; take a name without spaces and slashes"
            )
        able = abilities(node.roles, ASSUMED if node.capabilities is None else node.capabilities)
        names = node.models if isinstance(node.models, Mapping) else {model: model for model in node.models}
        return Node(
            name=name,
            origin=node,
            link=self._link(name, node, silence_s=node.timeout_s, connections=node.max_concurrent),
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

    def _link(self, name: str, node: BackendNode | HelperNode, **options: Any) -> Link:
        return Link(node=name, url=base_url(node.url), key=self._key(name, node), connect_s=self.connect_s, **options)

    def _key(self, name: str, node: BackendNode | HelperNode) -> str | None:
        if node.api_key is not None or node.api_key_env is None:
            return node.api_key
        key = self.environment.get(node.api_key_env)
        if not key:
            self.log.warning("node_key_missing", node=name, variable=node.api_key_env)
        return key or None


def _unchanged(node: Node | None, wanted: BackendNode | HelperNode) -> Node | None:
    return node if node is not None and node.origin == wanted else None

"""All nodes of the configuration: a source of models, and the helpers among them."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from lmx_hookspecs import Context, Health, Helper, ModelInfo
from lmx_hookspecs.errors import ModelNotFound
from lmx_remote.catalogue import Endpoint, LatestCatalogue, names_of
from lmx_remote.config import RemoteConfig
from lmx_remote.farewell import Farewells
from lmx_remote.making import HelperRole, NodeMaker
from lmx_remote.node import Node
from lmx_remote.watching import Watches

FORMAT = "remote"
BACKENDS, HELPER_NODES = "backends", "helper_nodes"


@define(eq=False)
class Nodes:
    """A ModelSource with helpers, that looks at its nodes from `start` to `close`."""

    maker: NodeMaker
    config: RemoteConfig
    ctx: Context
    backends: Mapping[str, Node] = field(factory=dict, init=False)
    helpers: Mapping[str, HelperRole] = field(factory=dict, init=False)
    """By capability."""
    watches: Watches = field(init=False)
    _farewells: Farewells = field(init=False)
    _latest: LatestCatalogue = field(factory=LatestCatalogue, init=False)

    def __attrs_post_init__(self) -> None:
        self.watches = Watches(lambda: self.config, self.ctx.log)
        self._farewells = Farewells(self.ctx, lambda model_id: self.find(model_id) is not None)

    def reconfigure(self, config: RemoteConfig) -> None:
        """Look at other times from now on."""
        self.config = config

    def reconfigure_section(self, name: str, section: Any) -> None:
        """Other nodes from now on; those that are as they were stay, and those that go end what they have begun."""
        before, served = self._all(), self._catalogue()
        if name == BACKENDS:
            self.backends = self.maker.backends(section, self.backends)
        else:
            self.helpers = self.maker.helpers(section, self.helpers)
        now = self._all()
        self.watches.look_at(now)
        self._farewells.bid([node for node in before if node not in now], served.keys() - self._catalogue().keys())

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
        self.watches.start()

    async def close(self) -> None:
        """Look no more, and give all connections back."""
        await self.watches.close()
        await self._farewells.close()
        for node in self._all():
            await node.link.close()

    async def check(self) -> Health:
        """Look at every node now."""
        nodes = self._all()
        await self.watches.look(nodes)
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
        return self._latest.of(list(self.backends.values()), [role.node for role in self.helpers.values()])


def nodes_of(ctx: Context, environment: Mapping[str, str]) -> Nodes:
    """The nodes of the sections `helper_nodes` and `backends`; raises ConfigError."""
    config: RemoteConfig = ctx.config
    nodes = Nodes(NodeMaker(environment, ctx.log, config.connect_timeout_s), config, ctx)
    for section in (BACKENDS, HELPER_NODES):
        nodes.reconfigure_section(section, ctx.services.config.section(section))
    return nodes


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
            "node": names_of(endpoints),
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

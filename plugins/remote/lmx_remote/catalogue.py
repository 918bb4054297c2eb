"""Which models there are on all nodes together, and who is asked next."""

from collections.abc import Collection, Mapping, Sequence

from attrs import define, field, frozen

from lmx_remote.making import HELPERS
from lmx_remote.node import Node, Served


@frozen
class Endpoint:
    """A model on a node."""

    node: Node
    served: Served

    @property
    def rank(self) -> tuple[bool, float]:
        """The lowest is asked first: a node that is well, and of those the one with the least to do for its size."""
        ill = self.node.healthy is False or self.served.name in self.node.failing
        return ill, self.node.outstanding / self.node.max_concurrent


Catalogue = Mapping[str, Sequence[Endpoint]]


def catalogue(nodes: Sequence[Node], helpers: Sequence[Node] = ()) -> Catalogue:
    """Every id with where it is served: `<node>/<model>` at one node, `<model>` at all that have it.

    The models of helpers are known by the first form alone. That form is always what it says: no node takes it for the
    name of a model of its own.
    """
    whole: dict[str, list[Endpoint]] = {}
    for node in (*helpers, *nodes):
        for name, served in node.models.items():
            whole.setdefault(f"{node.name}/{name}", [Endpoint(node, served)])
    names = frozenset({*HELPERS, *(node.name for node in nodes)})
    plain: dict[str, list[Endpoint]] = {}
    for node in nodes:
        for name, served in node.models.items():
            if name not in whole and not (node.discovers and _begins_with_one_of(names, name)):
                plain.setdefault(name, []).append(Endpoint(node, served))
    return {**plain, **whole}


def _begins_with_one_of(names: Collection[str], model: str) -> bool:
    node, slash, _ = model.partition("/")
    return bool(slash) and node in names


@define(eq=False)
class LatestCatalogue:
    """The catalogue of these nodes, made anew only where they, or their models, are others."""

    _of: "list[tuple[Node, Mapping[str, Served]]]" = field(factory=list, init=False)
    _made: Catalogue = field(factory=dict, init=False)

    def of(self, nodes: Sequence[Node], helpers: Sequence[Node]) -> Catalogue:
        """As it is now."""
        now = [(node, node.models) for node in (*nodes, *helpers)]
        if len(now) != len(self._of) or any(
            node is not old or models is not theirs for (node, models), (old, theirs) in zip(now, self._of, strict=True)
        ):
            self._of, self._made = now, catalogue(nodes, helpers)
        return self._made


def least_busy(endpoints: Sequence[Endpoint], but_not: Collection[Endpoint] = ()) -> Endpoint | None:
    """Whom to ask next, if there is anybody left; of equals the one that was written first."""
    return min((one for one in endpoints if one not in but_not), key=lambda one: one.rank, default=None)


def names_of(endpoints: Sequence[Endpoint]) -> str:
    """The nodes, as answers name them."""
    return ",".join(endpoint.node.name for endpoint in endpoints)

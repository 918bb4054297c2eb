"""Which models there are on all nodes together, and who is asked next."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from attrs import frozen

from lmx_remote.node import Node, Served


@frozen
class Endpoint:
    """A model on a node."""

    node: Node
    served: Served

    @property
    def rank(self) -> tuple[bool, float]:
        """The lowest is asked first: a node that is well, and of those the one with the least to do for its size."""
        return self.node.healthy is False, self.node.outstanding / self.node.max_concurrent


def catalogue(nodes: Iterable[Node], helpers: Iterable[Node] = ()) -> Mapping[str, Sequence[Endpoint]]:
    """Every id with where it is served: `<node>/<model>` at one node, `<model>` at all that have it.

    The models of helpers are known by the first form alone.
    """
    found: dict[str, list[Endpoint]] = {}
    for node in nodes:
        for name, served in node.models.items():
            found.setdefault(name, []).append(Endpoint(node, served))
    plain = dict(found)
    for node in (*nodes, *helpers):
        for name, served in node.models.items():
            plain.setdefault(f"{node.name}/{name}", [Endpoint(node, served)])
    return plain


def least_busy(endpoints: Sequence[Endpoint], but_not: Collection[Endpoint] = ()) -> Endpoint | None:
    """Whom to ask next, if there is anybody left; of equals the one that was written first."""
    return min((one for one in endpoints if one not in but_not), key=lambda one: one.rank, default=None)


def names_of(endpoints: Sequence[Endpoint]) -> str:
    """The nodes, as answers name them."""
    return ",".join(endpoint.node.name for endpoint in endpoints)

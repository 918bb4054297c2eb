"""Nodes: servers elsewhere that answer for this one."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from lmx_admin.wire import reply
from lmx_hookspecs import Context, Request, Response

STATES = ("closed", "half_open", "open")
"""Of a circuit, from good to bad."""


@frozen(kw_only=True)
class HelpersAnswer:
    """Helper nodes by role, with what is known of their answers."""

    helpers: Mapping[str, Any]
    live_checks: Mapping[str, bool]
    """Whether each was well just now."""
    configured_count: int
    all_healthy: bool


async def helpers(ctx: Context, _request: Request) -> Response:
    """Look at the helper nodes, then tell what is known of them."""
    await ctx.services.health.report()
    found = helper_nodes(ctx.services.describe())
    well = {role: bool(node.get("healthy")) for role, node in found.items()}
    return reply(
        HelpersAnswer(helpers=found, live_checks=well, configured_count=len(found), all_healthy=all(well.values()))
    )


def helper_nodes(described: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The nodes of `helper_nodes` by role."""
    return _nodes(described, "helper_nodes")


def backend_nodes(described: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The nodes of `backends` by name."""
    return _nodes(described, "backends")


def _nodes(described: Mapping[str, Any], section: str) -> Mapping[str, Mapping[str, Any]]:
    """What model sources say of their nodes, each with the worst state among the circuits of its models."""
    states = circuits(described)
    return {
        name: {**node, "circuit_state": _worst([states.get(target, "closed") for target in node.get("targets", ())])}
        for source in described.get("model_sources", {}).values()
        for name, node in source.get(section, {}).items()
    }


def circuits(described: Mapping[str, Any]) -> Mapping[str, str]:
    """By model, as the guards tell."""
    return {
        target: facts["state"]
        for guard in described.get("guards", ())
        for target, facts in guard.get("targets", {}).items()
        if isinstance(facts, Mapping) and facts.get("state") in STATES
    }


def _worst(states: Sequence[str]) -> str:
    return max(states, key=STATES.index, default=STATES[0])

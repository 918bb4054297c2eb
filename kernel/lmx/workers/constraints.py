"""What the answers of one model may be bound to: the constraints that can be compiled here, and those of a request."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, evolve, field

from lmx.workers.dialect import OURS as DIALECT_OURS
from lmx.workers.dialect import Dialect
from lmx.workers.forcing import forced_calls
from lmx_hookspecs.capabilities import Capability
from lmx_hookspecs.constraints import (
    CallSyntax,
    CompiledConstraint,
    Constraint,
    ConstraintCompiler,
    ConstraintKind,
    ConstraintSpec,
)
from lmx_hookspecs.engines import EngineDescription, Tokenizer
from lmx_hookspecs.errors import InvalidRequest, UnsupportedParameter
from lmx_hookspecs.generation import GenerationRequest

KINDS: Mapping[Capability, frozenset[ConstraintKind]] = {
    Capability.RESPONSE_FORMAT: frozenset({"json_object", "json_schema"}),
    Capability.GRAMMAR: frozenset({"grammar"}),
    Capability.REGEX: frozenset({"regex"}),
    Capability.CHOICE: frozenset({"choice"}),
}
"""What has to be compiled for a capability."""
LOOSE_TOOLS = "the parameters of the tools cannot all be enforced beside response_format; their names are"
STRICT_TOOLS = "strict holds for calls that tool_choice forces; here calls may break the parameters of their function"
FORCED = "tool_choice"
OURS = frozenset({*KINDS, Capability.TOOL_CHOICE, Capability.THINKING_BUDGET})
"""Capabilities that a model has by plugins and its dialect, as far as its engine draws within masks."""


@define(eq=False)
class Constraints:
    """Compiles; used by the thread that prepares requests."""

    _specs: Sequence[ConstraintSpec]
    _tokenizer: Tokenizer
    _dialect: Dialect
    _masks: bool = field(kw_only=True)
    """Whether the engine draws within masks."""
    _compilers: dict[str, ConstraintCompiler] = field(factory=dict, init=False)

    @property
    def capabilities(self) -> frozenset[str]:
        """Those of OURS that the model has."""
        if not self._masks:
            return frozenset()
        kinds = frozenset[ConstraintKind]().union(*(spec.kinds for spec in self._specs))
        able: set[str] = {capability for capability, needed in KINDS.items() if needed <= kinds}
        spec = self._dialect.spec
        if spec is not None and spec.calls is not None and "grammar" in kinds:
            able.add(Capability.TOOL_CHOICE)
        if self._dialect.thinking_pairs:
            able.add(Capability.THINKING_BUDGET)
        return frozenset(able)

    def compiled(self, request: GenerationRequest) -> CompiledConstraint | None:
        """What the text of an answer is bound to; None where it is free.

        Raises InvalidRequest for what cannot be enforced, UnsupportedParameter for what nobody here compiles.
        """
        constraint = self._beside_tools(constraint_of(request), request) or self._of_tools(request)
        return None if constraint is None else self._compile(constraint, request)

    def _beside_tools(self, constraint: Constraint | None, request: GenerationRequest) -> Constraint | None:
        """JSON, or calls of the tools where the model may make some."""
        spec = self._dialect.spec_for(request)
        if constraint is None or not request.tools or spec is None or spec.calls is None:
            return constraint
        if constraint.kind not in KINDS[Capability.RESPONSE_FORMAT]:
            return constraint
        return evolve(constraint, otherwise=self._calls(spec.calls, request, "required"))

    def _compile(self, constraint: Constraint, request: GenerationRequest) -> CompiledConstraint:
        compiler = self._compiler(constraint)
        try:
            return compiler.compile(constraint)
        except InvalidRequest:
            if constraint.param == FORCED:
                self._check_each(request, compiler, constraint)
            spec = self._dialect.spec_for(request)
            if constraint.otherwise is None or spec is None or spec.calls is None:
                raise
            loose = evolve(request, tools=[_without_parameters(tool) for tool in request.tools])
            compiled = compiler.compile(evolve(constraint, otherwise=self._calls(spec.calls, loose, "required")))
            return evolve(compiled, warnings=[*compiled.warnings, LOOSE_TOOLS])

    def _check_each(self, request: GenerationRequest, compiler: ConstraintCompiler, forced: Constraint) -> None:
        """Raises InvalidRequest by the name of a tool that cannot be called, where it is one tool's fault.

        Found by halves: compiling them takes about as long as compiling all has taken.
        """
        chosen = request.tool_choice
        wanted = None if chosen is None or isinstance(chosen, str) else chosen["function"]["name"]
        names = [tool["function"]["name"] for tool in request.tools]
        places = [place for place, name in enumerate(names) if wanted in (None, name)]
        while len(places) > 1:
            half = places[: len(places) // 2]
            try:
                self._try(request, compiler, forced, half)
            except InvalidRequest:
                places = half
            else:
                places = places[len(half) :]
        self._try(request, compiler, evolve(forced, param=f"tools[{places[0]}].function.parameters"), places)

    def _try(
        self, request: GenerationRequest, compiler: ConstraintCompiler, forced: Constraint, places: Sequence[int]
    ) -> None:
        some = evolve(request, tools=[request.tools[place] for place in places], tool_choice="required")
        alone = self._of_tools(some)
        if alone is not None:
            compiler.compile(evolve(forced, source=alone.source))

    def _calls(self, syntax: CallSyntax, request: GenerationRequest, choice: str | Mapping[str, Any]) -> str:
        return forced_calls(syntax, request.tools, choice, self._tokenizer, parallel=request.parallel_tool_calls)

    def _compiler(self, constraint: Constraint) -> ConstraintCompiler:
        spec = next((spec for spec in self._specs if constraint.kind in spec.kinds), None)
        if spec is None or not self._masks:
            raise _nobody(constraint.param)
        if spec.name not in self._compilers:
            self._compilers[spec.name] = spec.open(self._tokenizer)
        return self._compilers[spec.name]

    def _of_tools(self, request: GenerationRequest) -> Constraint | None:
        if request.tool_choice is None:
            return None
        spec = self._dialect.spec_for(request)
        if spec is None or spec.calls is None:
            raise _nobody("tool_choice")
        grammar = self._calls(spec.calls, request, request.tool_choice)
        strict = all(tool["function"].get("strict") for tool in request.tools)
        return Constraint(kind="grammar", source=grammar, strict=strict, param=FORCED)


def described(told: EngineDescription, dialect: Dialect, constraints: Constraints) -> EngineDescription:
    """What the engine says it can do, and what its model's template and dialect add to that."""
    ours = dialect.capabilities | constraints.capabilities
    spoken = dialect.spec.name if dialect.spec else None
    return evolve(
        told,
        capabilities=told.capabilities - (DIALECT_OURS | OURS) | ours,
        details={**told.details, "dialect": spoken},
    )


def constraint_of(request: GenerationRequest) -> Constraint | None:
    """What the request itself says; raises InvalidRequest where it says two things, or a schema is missing.

    A response_format beside a forced call says nothing: it is for text, and such an answer has none.
    """
    names = [name for name in (*_FIELDS, "tool_choice") if getattr(request, name)]
    if names == ["response_format", "tool_choice"]:
        return None
    if len(names) > 1:
        raise InvalidRequest(f"{' and '.join(names)} exclude each other; send one of them", param=names[-1])
    return _FIELDS[names[0]](request) if names and names[0] in _FIELDS else None


def unenforced(request: GenerationRequest) -> list[str]:
    """Warnings of what an answer that is free was asked to keep to."""
    strict = any(tool["function"].get("strict") for tool in request.tools)
    return [STRICT_TOOLS] if strict else []


def bound_by(request: GenerationRequest) -> str | None:
    """The field of the request that says what its answers are bound to."""
    return next((name for name in ("tool_choice", *_FIELDS) if getattr(request, name)), None)


def _of_format(request: GenerationRequest) -> Constraint | None:
    chosen = request.response_format or {}
    if chosen.get("type") == "json_object":
        return Constraint(kind="json_object")
    told = chosen.get("json_schema")
    if not isinstance(told, Mapping) or "schema" not in told:
        raise InvalidRequest(
            "response_format.json_schema must be an object with a `schema`", param="response_format.json_schema"
        )
    return Constraint(kind="json_schema", source=told["schema"], strict=bool(told.get("strict")))


def _without_parameters(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**tool, "function": {"name": tool["function"]["name"]}}


def _nobody(param: str) -> UnsupportedParameter:
    return UnsupportedParameter(
        f"{param} is not supported by this model; leave it out, or ask a model that lists it", param=param
    )


_FIELDS: Mapping[str, Callable[[GenerationRequest], Constraint | None]] = {
    "response_format": _of_format,
    "grammar": lambda request: Constraint(kind="grammar", source=request.grammar, param="grammar"),
    "regex": lambda request: Constraint(kind="regex", source=request.regex, param="regex"),
    "choice": lambda request: Constraint(kind="choice", source=[*request.choice], param="choice"),
}

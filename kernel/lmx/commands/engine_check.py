"""`lmx doctor --engine NAME`: one engine from load to unload, with nothing between it and us but the kernel."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from time import perf_counter
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from lmx.commands.findings import Finding, fail, ok, warn
from lmx.commands.output import gb
from lmx.plugins import Registry, Status
from lmx_hookspecs import (
    BackendSpec,
    Capability,
    EmbeddingRequest,
    GenerationRequest,
    LmxError,
    LoadOptions,
    Message,
    ModelInfo,
    Piece,
    Sampling,
)
from lmx_hookspecs.errors import ModelNotFound, NotFound, Unavailable

if TYPE_CHECKING:
    from lmx.kernel import Kernel
    from lmx.models.resident import Resident

PROMPT = "Tell me everything that you know about LMX, at length."
TEXTS = ("The first of two texts.", "The other one says something else.")
GENERATED_TOKENS = 64
SHORT_TOKENS = 4
LONG_TOKENS = 512
GRACE_S = 5.0
FORGET_S = 10.0
"""How long an engine may take to forget what was cancelled: a step, and a beat that tells."""
ADVICE = "`lmx models list` shows what else could be loaded; the plugin's README says what the engine needs"

Step = Callable[[], Awaitable[Finding | None]]


@define(eq=False)
class Answer:
    """What was seen of a generation; times are seconds since it was asked for."""

    tokens: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    decode_s: float = 0.0
    """As the engine has it; 0 where it does not tell."""

    def saw(self, piece: Piece, after_s: float) -> None:
        """A piece came."""
        if piece.tokens and not self.tokens:
            self.first_s = after_s
        self.tokens += piece.tokens
        self.last_s = after_s
        if piece.usage is not None:
            self.decode_s = piece.usage.decode_s

    @property
    def tokens_per_s(self) -> float | None:
        """Of decoding; None where there were too few tokens to tell."""
        decode_s = self.decode_s or self.last_s - self.first_s
        return (self.tokens - 1) / decode_s if self.tokens > 1 and decode_s > 0 else None


@define(eq=False)
class EngineCheck:
    """Loads a model, generates, embeds, cancels, unloads; `measured` holds the numbers of the steps that went well."""

    kernel: "Kernel"
    engine: str
    model: str | None = None
    measured: dict[str, Any] = field(factory=dict, init=False)
    _info: ModelInfo = field(init=False)

    async def findings(self) -> AsyncIterator[Finding]:
        """What each step found, as it comes; nothing is left running."""
        await self.kernel.start()
        try:
            loaded = await self._guarded("load", self._load)
            if loaded is not None:
                yield loaded
            for name, step in self._steps().items():
                found = await self._guarded(name, step)
                if found is not None:
                    yield found
        finally:
            await self.kernel.stop(GRACE_S)

    def _steps(self) -> Mapping[str, Step]:
        """What there is to do with what is loaded."""
        if "load_s" not in self.measured:
            return {}
        abilities = self._resident().capabilities
        steps: dict[str, Step] = {}
        if abilities & {Capability.CHAT, Capability.COMPLETION}:
            steps |= {"generate": self._generate, "cancel": self._cancel}
        if Capability.EMBED in abilities:
            steps["embed"] = self._embed
        return {**steps, "unload": self._unload}

    async def _guarded(self, name: str, step: Step) -> Finding | None:
        try:
            return await step()
        except LmxError as error:
            return fail(name, error.detail or error.message, ADVICE)
        except Exception as error:  # what breaks a step is itself worth knowing, and the others go on
            return fail(name, f"the step broke: {error!r}", "please report this")

    async def _load(self) -> Finding:
        spec = backend_named(self.engine, self.kernel.registry)
        self._info = await self._chosen(spec)
        began_s = perf_counter()
        status = await self.kernel.models.load(self._info.id, LoadOptions(performance={"backend": spec.name}))
        self.measured |= {
            "engine": spec.name,
            "model": self._info.id,
            "load_s": round(perf_counter() - began_s, 3),
            "memory_bytes": status.memory_bytes,
            "context_length": status.context_length,
            "capabilities": sorted(status.capabilities),
        }
        took = f"{self.measured['load_s']:.1f} s, {gb(status.memory_bytes)}"
        return ok("load", f"{spec.name} loaded {self._info.id} in {took}, context {status.context_length}")

    async def _chosen(self, spec: BackendSpec) -> ModelInfo:
        catalogue = self.kernel.models.catalogue
        if self.model is not None:
            return await catalogue.find(self.model)
        able = [info for info in await catalogue.models() if info.format in spec.formats and info.adapter is None]
        if not able:
            formats = ", ".join(sorted(spec.formats))
            raise ModelNotFound(f"no model here is {formats}, which {spec.name} opens; `lmx pull` gets one")
        return min(able, key=lambda info: (not info.builtin, info.size_bytes, info.id))

    async def _generate(self) -> Finding:
        answer = await self._answer(GENERATED_TOKENS)
        if not answer.tokens:
            return fail("generate", "the answer was empty", ADVICE)
        rate = answer.tokens_per_s
        self.measured |= {
            "tokens": answer.tokens,
            "ttft_s": round(answer.first_s, 4),
            "tokens_per_s": rate and round(rate, 1),
        }
        speed = f"{rate:.1f} tokens/s" if rate else "too few to tell the rate"
        return ok("generate", f"{answer.tokens} tokens, {speed}, the first after {answer.first_s * 1000:.0f} ms")

    async def _answer(self, max_tokens: int) -> "Answer":
        """A whole one."""
        answer, began_s = Answer(), perf_counter()
        generation = await self.kernel.generate(self._request(max_tokens))
        async with aclosing(generation) as pieces:
            async for piece in pieces:
                answer.saw(piece, perf_counter() - began_s)
        return answer

    async def _cancel(self) -> Finding:
        """Half-way: after the first piece of a long answer."""
        resident = self._resident()
        generation = await self.kernel.generate(self._request(LONG_TOKENS))
        tokens, ended = 0, False
        async with aclosing(generation) as pieces:
            async for piece in pieces:
                tokens, ended = tokens + piece.tokens, piece.usage is not None
                if piece.tokens:
                    break
        if not await _forgotten(resident):
            return fail("cancel", f"the engine still works on it after {FORGET_S:g} s", "please report this")
        if not (await self._answer(SHORT_TOKENS)).tokens:
            return fail("cancel", "it has nothing to say any more once a request was cancelled", ADVICE)
        if ended:
            return warn("cancel", "the answer had ended before it could be cancelled", "name another --model")
        return ok("cancel", f"cancelled after {tokens} tokens, and it answers on")

    async def _embed(self) -> Finding:
        began_s = perf_counter()
        answer = await self.kernel.embed(EmbeddingRequest(model=self._info.id, inputs=TEXTS, surface="doctor"))
        took_s = perf_counter() - began_s
        dimensions = len(answer.vectors[0])
        self.measured |= {"dimensions": dimensions, "embed_s": round(took_s, 4)}
        seen = f"{len(answer.vectors)} vectors of {dimensions} components in {took_s * 1000:.0f} ms"
        return ok("embed", seen) if len(answer.vectors) == len(TEXTS) else fail("embed", seen, "please report this")

    async def _unload(self) -> Finding:
        status = await self.kernel.models.get(self._info.id, fresh=True)
        self.measured["memory_after_work_bytes"] = status.memory_bytes
        began_s = perf_counter()
        freed_bytes = await self.kernel.models.unload(self._info.id)
        self.measured["unload_s"] = round(perf_counter() - began_s, 3)
        return ok("unload", f"{gb(freed_bytes)} given back in {self.measured['unload_s']:.1f} s")

    def _resident(self) -> "Resident":
        for resident in self.kernel.models.loaded():
            if resident.info.id == self._info.id:
                return resident
        raise Unavailable(f"model {self._info.id!r} is gone: its workers died too often", code="model_quarantined")

    def _request(self, max_tokens: int) -> GenerationRequest:
        request = GenerationRequest(
            model=self._info.id,
            max_tokens=max_tokens,
            sampling=Sampling(temperature=0.0),
            surface="doctor",
            stream=True,
            lenient=True,
            exact=True,
        )
        if Capability.CHAT in self._resident().capabilities:
            return evolve(request, messages=[Message(role="user", content=PROMPT)])
        return evolve(request, prompts=[PROMPT])


def backend_named(name: str, registry: Registry) -> BackendSpec:
    """The backend of that name, or the only one of the plugin of that name; raises NotFound with what there is."""
    offers = registry.specs("lmx_backends")
    of_plugin = [offer.spec for offer in offers if offer.plugin == name]
    found = [offer.spec for offer in offers if offer.spec.name == name] or of_plugin
    if len(found) == 1:
        spec: BackendSpec = found[0]
        return spec
    if found:
        raise NotFound(f"plugin {name!r} has several engines: {', '.join(spec.name for spec in found)}; name one")
    idle = next((one for one in registry.records if one.name == name and one.status is not Status.ACTIVE), None)
    if idle is not None:
        raise NotFound(f"plugin {name!r} is {idle.status}: {idle.reason}; {idle.advice}")
    names = ", ".join(offer.spec.name for offer in offers) or "none; `lmx plugins list` shows what is missing"
    raise NotFound(f"there is no engine {name!r}; there are: {names}")


async def _forgotten(resident: "Resident") -> bool:
    """Whether the engine has nothing to do any more."""
    until_s = perf_counter() + FORGET_S
    while perf_counter() < until_s:
        facts = resident.engine.describe()
        if not facts.get("running") and not facts.get("pending"):
            return True
        await asyncio.sleep(0.05)
    return False

"""Parts of the kernel's services that always say the same: models, presets, routing, configuration."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from lmx_hookspecs import (
    ModelInfo,
    ModelState,
    ModelStatus,
    Preset,
)
from lmx_hookspecs.errors import ModelNotFound


@define(eq=False)
class FakeModels:
    """A catalogue of fixed models."""

    statuses: list[ModelStatus] = field(
        factory=lambda: [
            ModelStatus(
                info=ModelInfo(id="real-model", format="safetensors", created=1_700_000_000),
                state=ModelState.READY,
                backend="fake",
                context_length=8192,
                capabilities=frozenset({"chat", "completion"}),
            ),
            ModelStatus(info=ModelInfo(id="org/other", format="gguf"), state=ModelState.ON_DISK),
        ]
    )

    async def list(self) -> Sequence[ModelStatus]:
        return self.statuses

    async def get(self, model_id: str, *, fresh: bool = False) -> ModelStatus:  # noqa: ARG002  as it is
        for status in self.statuses:
            if status.info.id == model_id:
                return status
        raise ModelNotFound(f"there is no model {model_id!r}", param="model")


@frozen
class FakePresets:
    """A library of fixed presets."""

    presets: Sequence[Preset] = ()

    def list(self) -> Sequence[Preset]:
        return self.presets

    def get(self, name: str) -> Preset:
        for preset in self.presets:
            if preset.name == name:
                return preset
        raise ModelNotFound(f"there is no preset 'preset:{name}'", param="model")


@frozen
class FakeRouting:
    """Fixed aliases; `auto` is the model given, or none."""

    fixed: Mapping[str, Sequence[str]] = field(factory=dict)
    auto: str | None = None

    async def resolve(self, name: str) -> Sequence[str]:
        if name != "auto" or self.auto is None:
            raise ModelNotFound(f"there is no model {name!r}", param="model")
        return [self.auto]

    def aliases(self) -> Mapping[str, Sequence[str]]:
        return self.fixed

    def default_model(self) -> str | None:
        return self.auto


@frozen
class FakeConfig:
    """Sections of the configuration."""

    sections: Mapping[str, Any]

    def section(self, name: str) -> Any:
        return self.sections[name]

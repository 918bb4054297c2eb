"""The models of the echo: one for each engine."""

from collections.abc import Sequence

from attrs import frozen

from lmx_hookspecs import ModelInfo

NAMES = ("echo", "echo-process", "echo-tokens")


@frozen
class EchoModels:
    """A ModelSource; each model has the name of its format and of its backend."""

    context_length: int

    def models(self) -> Sequence[ModelInfo]:
        """All three, always."""
        return [ModelInfo(id=name, format=name, source="echo", context_length=self.context_length) for name in NAMES]

    def find(self, model_id: str) -> ModelInfo | None:
        """The one of that name."""
        return next((model for model in self.models() if model.id == model_id), None)

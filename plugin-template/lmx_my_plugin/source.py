"""The model ids that this plugin brings."""

from collections.abc import Sequence

from lmx_hookspecs import ModelInfo


class OneModel:
    """A ModelSource with a single model, which needs no files."""

    def __init__(self, format: str) -> None:
        self._model = ModelInfo(id="my-plugin", format=format, source="my_plugin", context_length=4096)

    def models(self) -> Sequence[ModelInfo]:
        """Everything it offers now."""
        return [self._model]

    def find(self, model_id: str) -> ModelInfo | None:
        """The model of that id, or None."""
        return self._model if model_id == self._model.id else None

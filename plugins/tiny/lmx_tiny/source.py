"""Offers the models that ship in this package: the same weights as safetensors and as GGUF."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import define, evolve, field

from lmx_hookspecs import Logger, ModelInfo
from lmx_hookspecs.model_files import Listing, ReadFolder, look

MODELS = Path(__file__).parent / "models"
IDS = ("lmx-tiny", "lmx-tiny-gguf")
DESCRIPTION = "a smoke-test and help model"
SAMPLING = {"temperature": 0.0}
"""It has learnt one answer to each question: drawing from the others only makes it wrong."""


@define(eq=False)
class TinySource:
    """The models below `root`, each in a folder of its name; one whose folder is missing is not offered."""

    _root: Path
    _log: Logger
    _listing: Listing = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._listing = Listing("tiny", self._scan, self._skipped)

    def models(self) -> Sequence[ModelInfo]:
        """`lmx-tiny` and `lmx-tiny-gguf`."""
        return list(self._listing.by_id().values())

    def find(self, model_id: str) -> ModelInfo | None:
        """The model of that id, or None."""
        return self._listing.find(model_id)

    def _scan(self, read: ReadFolder) -> Iterator[ModelInfo]:
        context_length = None
        for model_id in IDS:
            for model in self._read(model_id, read):
                # GGUF files are listed without their context: it is that of the same weights as safetensors.
                context_length = model.context_length or context_length
                details = {"description": DESCRIPTION, **model.details}
                yield evolve(
                    model,
                    id=model_id,
                    context_length=context_length,
                    builtin=True,
                    sampling=SAMPLING,
                    details=details,
                )

    def _read(self, model_id: str, read: ReadFolder) -> Sequence[ModelInfo]:
        path = self._root / model_id
        return read(look(path, path.resolve()), model_id) if path.is_dir() else []

    def _skipped(self, path: Path, reason: str) -> None:
        self._log.error("builtin_model_damaged", path=str(path), reason=reason, advice="install opta-lmx again")

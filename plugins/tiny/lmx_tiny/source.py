"""Offers the models that ship in this package: one to talk to, as safetensors and as GGUF, and one that embeds."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from attrs import define, evolve, field, frozen

from lmx_hookspecs import Capability, Logger, ModelInfo
from lmx_hookspecs.model_files import Listing, ReadFolder, look

MODELS = Path(__file__).parent / "models"


@frozen(kw_only=True)
class Shipped:
    """What is known of a model that its files do not tell."""

    description: str
    sampling: Mapping[str, float] = field(factory=dict)
    format: str | None = None
    """Where it is not that of the files."""
    capabilities: frozenset[str] | None = None


TALKER = Shipped(
    description="a smoke-test and help model",
    # It has learnt one answer to each question: drawing from the others only makes it wrong.
    sampling={"temperature": 0.0},
)
EMBEDDER = Shipped(
    description="a small static embedding model",
    format="static-embedding",
    capabilities=frozenset({Capability.EMBED, Capability.TOKEN_PROMPTS}),
)
SHIPPED = MappingProxyType({"lmx-tiny": TALKER, "lmx-tiny-gguf": TALKER, "lmx-tiny-embed": EMBEDDER})


@define(eq=False)
class TinySource:
    """The models below `root`, each in a folder of its name; one whose folder is missing is not offered."""

    _root: Path
    _log: Logger
    _listing: Listing = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._listing = Listing("tiny", self._scan, self._skipped)

    def models(self) -> Sequence[ModelInfo]:
        """`lmx-tiny`, `lmx-tiny-gguf` and `lmx-tiny-embed`."""
        return list(self._listing.by_id().values())

    def find(self, model_id: str) -> ModelInfo | None:
        """The model of that id, or None."""
        return self._listing.find(model_id)

    def _scan(self, read: ReadFolder) -> Iterator[ModelInfo]:
        context_length = None
        for model_id, shipped in SHIPPED.items():
            for model in self._read(model_id, read):
                # GGUF files are listed without their context: it is that of the same weights as safetensors.
                context_length = model.context_length or context_length
                yield evolve(
                    model,
                    id=model_id,
                    format=shipped.format or model.format,
                    context_length=context_length,
                    capabilities=shipped.capabilities or model.capabilities,
                    builtin=True,
                    sampling=shipped.sampling,
                    details={"description": shipped.description, **model.details},
                )

    def _read(self, model_id: str, read: ReadFolder) -> Sequence[ModelInfo]:
        path = self._root / model_id
        return read(look(path, path.resolve()), model_id) if path.is_dir() else []

    def _skipped(self, path: Path, reason: str) -> None:
        self._log.error("builtin_model_damaged", path=str(path), reason=reason, advice="install opta-lmx again")
